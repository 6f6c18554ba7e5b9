//! Backups of a data folder in object storage, and back.
//!
//! ```text
//! <place>/backups/<time>.json     which files there are, each with its length and hash
//! <place>/objects/<hash>          the bytes of files, each once, however many backups have it
//! ```
//! A backup is there when its list is, which is written last. Most of a data folder never changes (segments, runs, files of the
//! lake), so that another backup sends what is new and nothing else. Everything is checked against its hash on the way back.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use futures::TryStreamExt;
use object_store::path::Path as Place;
use object_store::{ObjectStoreExt, PutPayload, WriteMultipart};
use serde::{Deserialize, Serialize};

use crate::objects::Objects;

/// Bytes of an object that are sent in one go.
const PART_BYTES: usize = 8 << 20;
/// What no backup holds: the lock of the running process, and what queries left behind.
const LEFT_OUT: [&str; 2] = ["lock", "spill"];

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backup {
    /// Its name: when it was made, such as `2026-11-28T12-00-00.000Z`. Later ones sort later.
    pub name: String,
    /// Version of the program that made it.
    pub version: String,
    /// By path.
    pub files: Vec<BackupFile>,
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupFile {
    /// In the data folder, with `/` between folders.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// BLAKE3 of its bytes, in hex.
    pub hash: String,
    /// Its permissions, as Unix has them: secrets stay secret.
    pub mode: u32,
}

/// What was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Files that the place did not have.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// Why there is no backup, or nothing came back.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The place for backups.
    #[error("the place for backups: {0}")]
    Store(#[from] object_store::Error),
    /// There is none.
    #[error("there is no backup{} in {place}", .name.as_ref().map(|n| format!(" `{n}`")).unwrap_or_default())]
    Missing {
        /// The one that was asked for.
        name: Option<String>,
        /// Where.
        place: String,
    },
    /// Not what was sent.
    #[error("{path} of backup {name} is damaged: expected hash {expected}; choose another backup")]
    Damaged {
        /// Which backup.
        name: String,
        /// Which file.
        path: String,
        /// The hash that it should have.
        expected: String,
    },
    /// The list makes no sense.
    #[error("the list of backup {name} cannot be read: {problem}")]
    List {
        /// Which backup.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// Something is there.
    #[error("{0} is there and is not empty: restore into a folder that is not there")]
    NotEmpty(String),
}

fn file_error(path: &Path) -> impl Fn(std::io::Error) -> BackupError {
    let path = path.display().to_string();
    move |source| BackupError::File { path: path.clone(), source }
}

/// A place for backups.
pub struct Backups {
    objects: Objects,
}

impl Backups {
    /// In a place for objects.
    pub fn new(objects: Objects) -> Backups {
        Backups { objects }
    }

    fn folder(&self, name: &str) -> Place {
        Place::from_url_path(self.objects.url().path()).unwrap_or_default().join(name)
    }

    fn place(&self, folder: &str, name: &str) -> Place {
        self.folder(folder).join(name)
    }

    /// The names of all backups, the oldest first.
    pub async fn names(&self) -> Result<Vec<String>, BackupError> {
        let found: Vec<_> = self.objects.store().list(Some(&self.folder("backups"))).try_collect().await?;
        let names = found.iter().filter_map(|meta| meta.location.filename()?.strip_suffix(".json").map(str::to_owned));
        let names: BTreeSet<String> = names.collect();
        Ok(names.into_iter().collect())
    }

    /// A backup by its name; None: the newest one.
    pub async fn find(&self, name: Option<&str>) -> Result<Backup, BackupError> {
        let missing = || BackupError::Missing { name: name.map(str::to_owned), place: self.objects.url().to_string() };
        let name = match name {
            Some(name) => name.to_owned(),
            None => self.names().await?.pop().ok_or_else(missing)?,
        };
        let found = match self.objects.store().get(&self.place("backups", &format!("{name}.json"))).await {
            Err(object_store::Error::NotFound { .. }) => return Err(missing()),
            found => found?.bytes().await?,
        };
        let backup: Backup = serde_json::from_slice(&found)
            .map_err(|e| BackupError::List { name: name.clone(), problem: e.to_string() })?;
        for file in &backup.files {
            let is_inside = Path::new(&file.path).components().all(|c| matches!(c, std::path::Component::Normal(_)));
            if !is_inside || file.hash.len() != 64 || !file.hash.bytes().all(|b| b.is_ascii_hexdigit()) {
                let problem = format!("`{}` is no file of a data folder", file.path);
                return Err(BackupError::List { name, problem });
            }
        }
        Ok(backup)
    }

    /// Backs a folder up, which nobody changes meanwhile. `told` hears of each file: how many are done, and of how many.
    pub async fn make(
        &self,
        folder: &Path,
        name: &str,
        version: &str,
        told: impl Fn(usize, usize),
    ) -> Result<(Backup, Sent), BackupError> {
        let paths = files(folder)?;
        let (mut backup, mut sent) =
            (Backup { name: name.into(), version: version.into(), files: Vec::new() }, Sent::default());
        for (n, path) in paths.iter().enumerate() {
            let file = described(folder, path).await?;
            if !self.has(&file).await? {
                self.send(&folder.join(path), &file).await?;
                sent.files += 1;
                sent.bytes += file.bytes;
            }
            backup.files.push(file);
            told(n + 1, paths.len());
        }
        let list = serde_json::to_vec_pretty(&backup).expect("plain data can be written");
        self.objects.store().put(&self.place("backups", &format!("{name}.json")), PutPayload::from(list)).await?;
        Ok((backup, sent))
    }

    /// Whether the bytes of a file are there. What was sent halfway is of another length, or not there at all.
    async fn has(&self, file: &BackupFile) -> Result<bool, BackupError> {
        match self.objects.store().head(&self.place("objects", &file.hash)).await {
            Ok(meta) => Ok(meta.size == file.bytes),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(e) => Err(e.into()),
        }
    }

    async fn send(&self, path: &Path, file: &BackupFile) -> Result<(), BackupError> {
        let (store, place) = (self.objects.store(), self.place("objects", &file.hash));
        let mut from = fs::File::open(path).map_err(file_error(path))?;
        if file.bytes <= PART_BYTES as u64 {
            let mut bytes = Vec::new();
            from.read_to_end(&mut bytes).map_err(file_error(path))?;
            store.put(&place, PutPayload::from(bytes)).await?;
            return Ok(());
        }
        let mut to = WriteMultipart::new_with_chunk_size(store.put_multipart(&place).await?, PART_BYTES);
        let mut part = vec![0; PART_BYTES];
        loop {
            let n = from.read(&mut part).map_err(file_error(path))?;
            if n == 0 {
                break;
            }
            to.write(&part[..n]);
            to.wait_for_capacity(2).await?;
        }
        to.finish().await?;
        Ok(())
    }

    /// Brings a backup into a folder that is not there yet, or is empty. The folder takes its name when all is in it.
    pub async fn restore(
        &self,
        backup: &Backup,
        folder: &Path,
        told: impl Fn(usize, usize),
    ) -> Result<(), BackupError> {
        let is_taken = fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
        if is_taken {
            return Err(BackupError::NotEmpty(folder.display().to_string()));
        }
        let unfinished = unfinished(folder);
        let _ = fs::remove_dir_all(&unfinished);
        fs::create_dir_all(&unfinished).map_err(file_error(&unfinished))?;
        let brought = self.bring(backup, &unfinished, told).await;
        if brought.is_err() {
            let _ = fs::remove_dir_all(&unfinished);
        }
        brought?;
        let _ = fs::remove_dir(folder);
        fs::rename(&unfinished, folder).map_err(file_error(folder))?;
        let parent = folder.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::File::open(parent).and_then(|parent| parent.sync_all()).map_err(file_error(parent))
    }

    async fn bring(&self, backup: &Backup, to: &Path, told: impl Fn(usize, usize)) -> Result<(), BackupError> {
        use std::os::unix::fs::OpenOptionsExt;
        let mut folders = BTreeSet::from([to.to_owned()]);
        for (n, file) in backup.files.iter().enumerate() {
            let damaged = || BackupError::Damaged {
                name: backup.name.clone(),
                path: file.path.clone(),
                expected: file.hash.clone(),
            };
            let path = to.join(&file.path);
            for folder in path.ancestors().skip(1).take_while(|folder| *folder != to) {
                folders.insert(folder.to_owned());
            }
            let folder = path.parent().unwrap_or(to);
            fs::create_dir_all(folder).map_err(file_error(folder))?;
            let new = fs::OpenOptions::new().write(true).create_new(true).mode(file.mode).open(&path);
            let mut written = new.map_err(file_error(&path))?;
            let object = match self.objects.store().get(&self.place("objects", &file.hash)).await {
                Err(object_store::Error::NotFound { .. }) => return Err(damaged()),
                object => object?,
            };
            let (mut bytes, mut hash) = (object.into_stream(), blake3::Hasher::new());
            while let Some(part) = bytes.try_next().await? {
                hash.update(&part);
                written.write_all(&part).map_err(file_error(&path))?;
            }
            if hash.finalize().to_hex().as_str() != file.hash {
                return Err(damaged());
            }
            written.sync_all().map_err(file_error(&path))?;
            told(n + 1, backup.files.len());
        }
        for folder in folders {
            fs::File::open(&folder).and_then(|folder| folder.sync_all()).map_err(file_error(&folder))?;
        }
        Ok(())
    }
}

/// What is being restored stands beside its folder.
fn unfinished(folder: &Path) -> PathBuf {
    let mut name = folder.file_name().unwrap_or_default().to_owned();
    name.push(".restoring");
    folder.with_file_name(name)
}

/// All files of a folder, by path.
fn files(folder: &Path) -> Result<Vec<String>, BackupError> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).map_err(file_error(&next))? {
            let entry = entry.map_err(file_error(&next))?;
            let (path, kind) = (entry.path(), entry.file_type().map_err(file_error(&next))?);
            let relative = path.strip_prefix(folder).expect("it was found in the folder");
            let Some(relative) = relative.to_str().map(str::to_owned) else {
                let odd = std::io::Error::new(std::io::ErrorKind::InvalidData, "its name is not UTF-8");
                return Err(file_error(&path)(odd));
            };
            if LEFT_OUT.contains(&relative.as_str()) {
                continue;
            }
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() {
                found.push(relative);
            }
        }
    }
    found.sort();
    Ok(found)
}

async fn described(folder: &Path, path: &str) -> Result<BackupFile, BackupError> {
    use std::os::unix::fs::PermissionsExt;
    let (at, path) = (folder.join(path), path.to_owned());
    let work = move || {
        let failed = file_error(&at);
        let mut file = fs::File::open(&at).map_err(&failed)?;
        let mode = file.metadata().map_err(&failed)?.permissions().mode() & 0o777;
        let mut hash = blake3::Hasher::new();
        let bytes = std::io::copy(&mut file, &mut hash).map_err(&failed)?;
        Ok(BackupFile { path, bytes, hash: hash.finalize().to_hex().to_string(), mode })
    };
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| file_error(folder)(std::io::Error::other(e)))?
}
