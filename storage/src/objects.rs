//! Where objects are: a local folder, or a bucket of S3, MinIO or another that speaks S3. One code path for all.

mod durable;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, S3ConditionalPut};
use object_store::memory::InMemory;
use object_store::{ClientOptions, ObjectStore, RetryConfig};
use url::Url;

use durable::DurableFolder;

/// How to reach a bucket, besides its address. What is not given is taken from the environment (`AWS_ENDPOINT`,
/// `AWS_ACCESS_KEY_ID`, ...).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct S3Options {
    /// Address of the service, for those that are not Amazon's.
    pub endpoint: Option<String>,
    /// Region.
    pub region: Option<String>,
    /// Id of the key.
    pub access_key_id: Option<String>,
    /// The key.
    pub secret_access_key: Option<String>,
    /// How long a request may take before it is tried again; 30 seconds where nothing is said.
    pub timeout: Option<Duration>,
}

/// Why a place for objects cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ObjectsError {
    /// Not an address that is known.
    #[error("`{url}` is no place for objects: {problem}; expected a folder, file:///folder or s3://bucket/prefix")]
    Address {
        /// What was given.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A folder cannot be made.
    #[error("cannot create the folder {path}: {source}")]
    Folder {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The store refused its configuration.
    #[error("cannot use `{url}`: {source}")]
    Store {
        /// Which.
        url: String,
        /// Why.
        source: object_store::Error,
    },
}

/// A place for objects.
#[derive(Clone, Debug)]
pub struct Objects {
    /// The store; its root is that of the bucket or file system.
    store: Arc<dyn ObjectStore>,
    /// The place in it.
    url: Url,
}

impl Objects {
    /// A folder of this machine, which is made where it is missing.
    pub fn folder(path: &Path) -> Result<Objects, ObjectsError> {
        let made = std::fs::create_dir_all(path).and_then(|()| path.canonicalize());
        let path = made.map_err(|source| ObjectsError::Folder { path: path.display().to_string(), source })?;
        let url = Url::from_directory_path(&path).map_err(|()| ObjectsError::Address {
            url: path.display().to_string(),
            problem: "it is not absolute".into(),
        })?;
        Ok(Objects { store: Arc::new(DurableFolder::default()), url })
    }

    /// In memory, for tests.
    pub fn memory() -> Objects {
        let url = Url::parse("memory:///").expect("it is an address");
        Objects { store: Arc::new(InMemory::new()), url }
    }

    /// What an address names: a folder, `file://` or `s3://bucket/prefix`.
    pub fn open(address: &str, s3: &S3Options) -> Result<Objects, ObjectsError> {
        let refuse = |problem: &str| ObjectsError::Address { url: address.to_owned(), problem: problem.to_owned() };
        if !address.contains("://") {
            return Objects::folder(Path::new(address));
        }
        let mut url = Url::parse(address).map_err(|e| refuse(&e.to_string()))?;
        match url.scheme() {
            "file" => Objects::folder(&url.to_file_path().map_err(|()| refuse("it names no folder"))?),
            "memory" => Ok(Objects::memory()),
            "s3" => {
                if !url.path().ends_with('/') {
                    url.set_path(&format!("{}/", url.path()));
                }
                let bucket = url.host_str().ok_or_else(|| refuse("it names no bucket"))?;
                let store =
                    s3_store(bucket, s3).map_err(|source| ObjectsError::Store { url: address.into(), source })?;
                Ok(Objects { store, url })
            }
            other => Err(refuse(&format!("its scheme is `{other}`"))),
        }
    }

    /// The store, whose root is that of the bucket or file system.
    pub fn store(&self) -> Arc<dyn ObjectStore> {
        self.store.clone()
    }

    /// Address of the place.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Address of a folder in it.
    pub fn at(&self, name: &str) -> Url {
        self.url.join(&format!("{name}/")).expect("names of tables are parts of an address")
    }
}

/// How long a request may take.
const TIMEOUT: Duration = Duration::from_secs(30);

fn s3_store(bucket: &str, s3: &S3Options) -> object_store::Result<Arc<dyn ObjectStore>> {
    let client = ClientOptions::new().with_allow_http(true).with_timeout(s3.timeout.unwrap_or(TIMEOUT));
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(bucket)
        // A commit is a file that must not be there yet: the service says so itself.
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_client_options(client)
        .with_retry(RetryConfig::default());
    if let Some(endpoint) = &s3.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    if let Some(region) = &s3.region {
        builder = builder.with_region(region);
    }
    if let Some(id) = &s3.access_key_id {
        builder = builder.with_access_key_id(id);
    }
    if let Some(key) = &s3.secret_access_key {
        builder = builder.with_secret_access_key(key);
    }
    Ok(Arc::new(builder.build()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_name_folders_and_buckets() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a b");
        let objects = Objects::open(path.to_str().unwrap(), &S3Options::default()).unwrap();
        assert!(path.is_dir() && objects.at("usage").as_str().ends_with("/a%20b/usage/"));
        let keys = S3Options {
            endpoint: Some("http://127.0.0.1:9".into()),
            region: Some("x".into()),
            access_key_id: Some("a".into()),
            secret_access_key: Some("b".into()),
            timeout: None,
        };
        let bucket = Objects::open("s3://lake/prod", &keys).unwrap();
        assert_eq!(bucket.at("usage").as_str(), "s3://lake/prod/usage/");
        for wrong in ["ftp://x/y", "s3:///x"] {
            let error = Objects::open(wrong, &keys).unwrap_err().to_string();
            assert!(error.contains(wrong) && error.contains("s3://bucket/prefix"), "{error}");
        }
    }
}
