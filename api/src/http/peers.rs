//! Open connections by the address that they come from: one client must not have all of them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

/// Counts them.
#[derive(Debug)]
pub struct Peers {
    /// Of one address at most; 0: no bound.
    max: usize,
    open: Mutex<HashMap<IpAddr, usize>>,
}

/// A connection, until it is dropped.
#[derive(Debug)]
pub struct OfPeer {
    peers: Arc<Peers>,
    peer: IpAddr,
}

impl Peers {
    /// With so many per address at most; 0: no bound.
    pub fn new(max: usize) -> Arc<Peers> {
        Arc::new(Peers { max, open: Mutex::default() })
    }

    /// One more of an address; None: it has as many as it may have.
    pub fn open(self: Arc<Self>, peer: IpAddr) -> Option<OfPeer> {
        let mut open = self.open.lock();
        let count = open.entry(peer).or_default();
        if self.max > 0 && *count >= self.max {
            return None;
        }
        *count += 1;
        drop(open);
        Some(OfPeer { peers: self, peer })
    }
}

impl Drop for OfPeer {
    fn drop(&mut self) {
        let mut open = self.peers.open.lock();
        if let Some(count) = open.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_and_others_have_theirs() {
        let (a, b) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2]));
        let peers = Peers::new(2);
        let first = peers.clone().open(a).unwrap();
        let _second = peers.clone().open(a).unwrap();
        assert!(peers.clone().open(a).is_none());
        let of_b = peers.clone().open(b).unwrap();
        drop(first);
        let _third = peers.clone().open(a).unwrap();
        assert!(peers.clone().open(a).is_none());
        drop(of_b);
        assert_eq!(peers.open.lock().len(), 1, "who has none is forgotten");
        let unbounded = Peers::new(0);
        assert!((0..100).map(|_| unbounded.clone().open(a)).collect::<Vec<_>>().iter().all(Option::is_some));
    }
}
