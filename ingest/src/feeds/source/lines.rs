//! Bytes into lines.

use std::io::Read;

use tokio::sync::mpsc;

use super::{Item, SourceError};

/// Longest line that is read: a whole collection of some 200,000 objects.
pub(crate) const MAX_LINE_BYTES: usize = 64 << 20;

/// Cuts a stream of bytes into lines. Memory stays below the limit, whatever comes.
#[derive(Default)]
pub(super) struct Splitter {
    partial: Vec<u8>,
    /// Bytes of the partial line that were thrown away.
    dropped: u64,
}

impl Splitter {
    /// Takes bytes and gives each line that they end.
    pub fn push(&mut self, mut bytes: &[u8], mut each: impl FnMut(Item)) {
        while let Some(end) = bytes.iter().position(|&b| b == b'\n') {
            self.keep(&bytes[..end]);
            each(self.take());
            bytes = &bytes[end + 1..];
        }
        self.keep(bytes);
    }

    /// The last line, where no line end came after it.
    pub fn finish(&mut self) -> Option<Item> {
        (self.dropped > 0 || !self.partial.is_empty()).then(|| self.take())
    }

    /// Forgets the unfinished line: a connection was cut in it, and the next one tells it again.
    pub fn clear(&mut self) {
        self.partial.clear();
        self.dropped = 0;
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.dropped > 0 || self.partial.len() + bytes.len() > MAX_LINE_BYTES {
            self.dropped += (self.partial.len() + bytes.len()) as u64;
            self.partial = Vec::new();
        } else {
            self.partial.extend_from_slice(bytes);
        }
    }

    fn take(&mut self) -> Item {
        match std::mem::take(&mut self.dropped) {
            0 => Item::Line(std::mem::take(&mut self.partial)),
            bytes => Item::TooLong(bytes),
        }
    }
}

/// Reads on a thread of its own: a read of standard input cannot be cancelled, and must not keep the runtime from ending.
pub(super) fn spawn(
    what: String,
    mut input: impl Read + Send + 'static,
    send: mpsc::Sender<Item>,
) -> Result<(), SourceError> {
    let name = what.clone();
    let run = move || {
        let mut splitter = Splitter::default();
        let mut buffer = vec![0; 256 << 10];
        loop {
            let n = match input.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => n,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return drop(send.blocking_send(Item::Failed(SourceError::Unreadable { what, error }))),
            };
            let mut open = true;
            splitter.push(&buffer[..n], |item| open = open && send.blocking_send(item).is_ok());
            if !open {
                return;
            }
        }
        if let Some(item) = splitter.finish() {
            drop(send.blocking_send(item));
        }
    };
    let spawned = std::thread::Builder::new().name("feed-reader".into()).spawn(run);
    spawned.map(drop).map_err(|e| SourceError::Setup { what: name, problem: e.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(chunks: &[&[u8]]) -> Vec<String> {
        let mut splitter = Splitter::default();
        let mut lines = Vec::new();
        let mut each = |item: Item| match item {
            Item::Line(l) => lines.push(String::from_utf8(l).unwrap()),
            Item::TooLong(n) => lines.push(format!("<{n}>")),
            other => panic!("{other:?}"),
        };
        for chunk in chunks {
            splitter.push(chunk, &mut each);
        }
        splitter.finish().into_iter().for_each(each);
        lines
    }

    #[test]
    fn any_cut_gives_the_same_lines() {
        let text = b"ab\n\nc\xc3\xa4\r\nlast";
        let expected = ["ab", "", "cä\r", "last"];
        for a in 0..=text.len() {
            for b in a..=text.len() {
                assert_eq!(split(&[&text[..a], &text[a..b], &text[b..]]), expected);
            }
        }
        assert!(split(&[b""]).is_empty());
    }

    #[test]
    fn too_long_a_line_is_skipped_and_counted() {
        let block = vec![b'x'; MAX_LINE_BYTES / 2 + 1];
        let lines = split(&[b"a\n", &block, &block, b"yz\nb\n"]);
        assert_eq!(lines, ["a".to_string(), format!("<{}>", 2 * block.len() + 2), "b".into()]);
    }
}
