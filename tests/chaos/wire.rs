//! A network between the server and what it stands on, which can be cut.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What a cut takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cut {
    /// Nothing.
    #[default]
    Whole,
    /// What the far end answers: what it is asked it does, and nobody learns of it.
    Answers,
    /// Both directions.
    Both,
}

#[derive(Clone, Copy, Default)]
struct State {
    cut: Cut,
    /// How often all connections were reset.
    resets: u64,
}

/// A port of 127.0.0.1 from which all is carried to another one.
pub struct Wire {
    pub port: u16,
    state: watch::Sender<State>,
}

impl Wire {
    /// To a port.
    pub fn to(to: u16) -> Wire {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
        let port = listener.local_addr().expect("it is bound").port();
        let (state, seen) = watch::channel(State::default());
        listener.set_nonblocking(true).expect("a socket");
        let carries = async move {
            let listener = TcpListener::from_std(listener).expect("a socket");
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(connect(client, to, seen.clone()));
            }
        };
        // A thread of its own: those of the test wait for commands of the server, which may wait for the wire. It ends with
        // the process.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        std::thread::spawn(move || runtime.block_on(carries));
        Wire { port, state }
    }

    /// Carries nothing, or no answers, for a while. Then what waited arrives, or with `resets` all connections are gone.
    pub async fn cut(&self, cut: Cut, resets: bool, ms: u64) {
        self.state.send_modify(|state| state.cut = cut);
        tokio::time::sleep(Duration::from_millis(ms)).await;
        self.state.send_modify(|state| {
            state.cut = Cut::Whole;
            state.resets += u64::from(resets);
        });
    }
}

async fn connect(client: TcpStream, to: u16, mut seen: watch::Receiver<State>) {
    // The way to the far end has to be there before it is reached.
    if seen.wait_for(|state| state.cut != Cut::Both).await.is_err() {
        return;
    }
    let Ok(server) = TcpStream::connect(("127.0.0.1", to)).await else { return };
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    tokio::join!(
        carry(from_client, to_server, seen.clone(), |cut| cut != Cut::Both),
        carry(from_server, to_client, seen, |cut| cut == Cut::Whole),
    );
}

/// Carries one direction until it ends or the connection is reset.
async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut seen: watch::Receiver<State>,
    is_open: impl Fn(Cut) -> bool,
) {
    let began = seen.borrow().resets;
    let mut told = seen.clone();
    let is_reset = async {
        let _ = told.wait_for(|state| state.resets != began).await;
    };
    let carried = async {
        let mut piece = vec![0; 64 << 10];
        loop {
            let n = from.read(&mut piece).await.unwrap_or(0);
            if n == 0 || seen.wait_for(|state| is_open(state.cut)).await.is_err() {
                break;
            }
            if to.write_all(&piece[..n]).await.is_err() {
                break;
            }
        }
        let _ = to.shutdown().await;
    };
    tokio::select! {
        () = is_reset => {}
        () = carried => {}
    }
}
