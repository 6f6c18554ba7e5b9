//! Objects in a folder that survive a power cut: what a write returned for is on the disk, and no name leads to half an object.
//!
//! The plain store gives an object its name before its bytes are on the disk. Here they come first: staged, fsynced, named,
//! and the folder fsynced.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, RenameTargetMode, Result, UploadPart,
};

/// Makes names of staged objects different within a process; the process's id does it between them.
static STAGED: AtomicU64 = AtomicU64::new(0);

/// A folder whose writes are durable.
#[derive(Debug, Default)]
pub struct DurableFolder {
    inner: LocalFileSystem,
}

impl fmt::Display for DurableFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DurableFolder({})", self.inner)
    }
}

impl DurableFolder {
    /// Brings a file, or what a folder lists, onto the disk.
    async fn sync(&self, path: PathBuf) -> Result<()> {
        let work = move || std::fs::File::open(&path).and_then(|file| file.sync_all());
        let done = tokio::task::spawn_blocking(work).await;
        done.map_err(std::io::Error::other)
            .flatten()
            .map_err(|source| object_store::Error::Generic { store: "DurableFolder", source: source.into() })
    }

    async fn sync_object(&self, location: &Path) -> Result<()> {
        self.sync(self.inner.path_to_filesystem(location)?).await
    }

    /// The folder of an object, and those above it that may be new.
    async fn sync_folders(&self, location: &Path) -> Result<()> {
        let file = self.inner.path_to_filesystem(location)?;
        // The parts of a table are three levels deep: the table, a day, a tenant.
        for folder in file.ancestors().skip(1).take(4) {
            self.sync(folder.to_owned()).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl ObjectStore for DurableFolder {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let target_mode = match opts.mode {
            PutMode::Overwrite => RenameTargetMode::Overwrite,
            PutMode::Create => RenameTargetMode::Create,
            // Not known to folders: the plain store says so.
            PutMode::Update(_) => return self.inner.put_opts(location, payload, opts).await,
        };
        let number = STAGED.fetch_add(1, Ordering::Relaxed);
        let staged = Path::from(format!("{location}.staged-{}-{number}", std::process::id()));
        let result = self.inner.put_opts(&staged, payload, PutOptions { mode: PutMode::Overwrite, ..opts }).await?;
        let named = async {
            self.sync_object(&staged).await?;
            let options = RenameOptions { target_mode, ..RenameOptions::default() };
            self.inner.rename_opts(&staged, location, options).await
        };
        if let Err(error) = named.await {
            let _ = self.inner.delete(&staged).await;
            return Err(error);
        }
        self.sync_folders(location).await?;
        Ok(result)
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        let inner = self.inner.put_multipart_opts(location, opts).await?;
        let folder = DurableFolder::default();
        Ok(Box::new(DurableUpload { inner, folder, location: location.clone() }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await?;
        self.sync_object(to).await?;
        self.sync_folders(to).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.inner.rename_opts(from, to, options).await?;
        self.sync_folders(to).await
    }
}

/// An object that comes in parts. Nobody looks for it before a commit names it, so that it is enough to have it on the disk
/// when it is whole.
#[derive(Debug)]
struct DurableUpload {
    inner: Box<dyn MultipartUpload>,
    folder: DurableFolder,
    location: Path,
}

#[async_trait]
impl MultipartUpload for DurableUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.inner.put_part(data)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let result = self.inner.complete().await?;
        self.folder.sync_object(&self.location).await?;
        self.folder.sync_folders(&self.location).await?;
        Ok(result)
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(dir: &tempfile::TempDir, name: &str) -> Path {
        Path::from_absolute_path(dir.path().join(name)).unwrap()
    }

    #[tokio::test]
    async fn one_of_those_who_create_an_object_wins_and_nothing_staged_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let store = std::sync::Arc::new(DurableFolder::default());
        let location = at(&dir, "log/1.json");
        let racing = (0..8).map(|n| {
            let (store, location) = (store.clone(), location.clone());
            tokio::spawn(async move {
                store.put_opts(&location, PutPayload::from(n.to_string()), PutMode::Create.into()).await
            })
        });
        let outcomes = futures::future::join_all(racing).await;
        let won: Vec<usize> =
            outcomes.iter().enumerate().filter(|(_, o)| o.as_ref().unwrap().is_ok()).map(|(n, _)| n).collect();
        assert_eq!(won.len(), 1);
        let lost = outcomes.iter().filter_map(|o| o.as_ref().unwrap().as_ref().err());
        assert!(
            lost.clone().all(|e| matches!(e, object_store::Error::AlreadyExists { .. })),
            "{:?}",
            lost.collect::<Vec<_>>()
        );
        let content = store.get(&location).await.unwrap().bytes().await.unwrap();
        assert_eq!(content, won[0].to_string());
        assert_eq!(std::fs::read_dir(dir.path().join("log")).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn objects_are_written_over_and_in_parts() {
        let dir = tempfile::tempdir().unwrap();
        let store = DurableFolder::default();
        let location = at(&dir, "a/b/c/d");
        for text in ["one", "two"] {
            store.put(&location, PutPayload::from(text)).await.unwrap();
            assert_eq!(store.get(&location).await.unwrap().bytes().await.unwrap(), text);
        }
        let mut upload = store.put_multipart_opts(&at(&dir, "parts"), PutMultipartOptions::default()).await.unwrap();
        upload.put_part(PutPayload::from("x")).await.unwrap();
        upload.put_part(PutPayload::from("y")).await.unwrap();
        upload.complete().await.unwrap();
        assert_eq!(store.get(&at(&dir, "parts")).await.unwrap().bytes().await.unwrap(), "xy");
    }
}
