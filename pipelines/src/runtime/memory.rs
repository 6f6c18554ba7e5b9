//! How a process that runs pipelines gets its memory.

/// Asks for pages of the usual size in this process, from now on. Epochs and requests come and go, and their memory with
/// them: as huge pages it would be cleared by megabytes each time, which took a third of the CPU of a pipeline under load
/// and a fifth of that of a burst of requests. To be called first thing in `main`. No harm where the system knows nothing
/// of it.
pub fn avoid_huge_pages() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "huge pages stay as they are");
    }
}
