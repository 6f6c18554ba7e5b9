//! Sets up HTTP: one TLS provider for the process, no proxy for this machine.

use std::sync::Once;

use reqwest::ClientBuilder;
use url::{Host, Url};

/// Makes ring the process's TLS provider, unless it has one. Every user of TLS in the program may call it.
pub fn install_tls_provider() {
    static ONCE: Once = Once::new();
    // An error means that the program has chosen one before, which is as good.
    ONCE.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
}

/// An HTTP client for `url`; `with` adds to its settings.
pub(crate) fn http_client(
    url: &Url,
    with: impl Fn(ClientBuilder) -> ClientBuilder,
) -> Result<reqwest::Client, reqwest::Error> {
    install_tls_provider();
    let builder = || {
        let builder = with(reqwest::Client::builder().user_agent(concat!("gravity/", env!("CARGO_PKG_VERSION"))));
        match (is_loopback(url), url.scheme()) {
            // No certificate is ever looked at, and to read those of the machine takes longer than most commands.
            (true, "http") => builder.no_proxy().tls_certs_only([]),
            (true, _) => builder.no_proxy(),
            (false, _) => builder,
        }
    };
    match builder().build() {
        // A machine without CA certificates can still speak plain HTTP.
        Err(_) if url.scheme() == "http" => builder().tls_certs_only([]).build(),
        built => built,
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// The address without user and password, fit to be shown and stored.
pub(crate) fn without_credentials(url: &Url) -> Url {
    let mut url = url.clone();
    // Both fail only for addresses that cannot have credentials.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url
}

/// The text of an HTTP error with its causes and without the address, which may hold a password.
pub(crate) fn say(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(c) = cause {
        let more = c.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = c.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (url, local) in [
            ("http://127.0.0.9:1/", true),
            ("http://[::1]/", true),
            ("https://localhost/x", true),
            ("http://a.localhost/", true),
            ("http://10.0.0.1/", false),
            ("https://localhost.example.org/", false),
        ] {
            assert_eq!(is_loopback(&Url::parse(url).unwrap()), local, "{url}");
        }
        let url = Url::parse("https://u:p@h/x?y").unwrap();
        assert_eq!(without_credentials(&url).as_str(), "https://h/x?y");
    }
}
