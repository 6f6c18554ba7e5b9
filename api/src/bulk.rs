//! Where large requests are worked on: on threads of their own, so that a participant's small one does not wait until thousands
//! of records are read.

use std::future::Future;

use axum::http::StatusCode;
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

use crate::http::Problem;

/// A body of more bytes is a large one. It takes half a millisecond to read its records, about.
const LARGE_BYTES: usize = 64 << 10;

/// Threads for large requests; none: they are worked on where they are received.
#[derive(Clone, Debug, Default)]
pub struct Bulk(Option<Handle>);

impl Bulk {
    /// On the threads of this runtime.
    pub fn on(threads: Handle) -> Bulk {
        Bulk(Some(threads))
    }

    /// Does the work of a request whose body has so many bytes. Given up when the caller is.
    pub async fn run<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl Future<Output = Result<T, Problem>> + Send + 'static,
    ) -> Result<T, Problem> {
        match &self.0 {
            Some(threads) if bytes > LARGE_BYTES => {
                let done = AbortOnDropHandle::new(threads.spawn(work)).await;
                done.unwrap_or_else(|_| {
                    Err(Problem::new(
                        StatusCode::INTERNAL_SERVER_ERROR,
                        "internal",
                        "the request could not be worked on",
                    ))
                })
            }
            _ => work.await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn name_of_thread() -> Result<Option<String>, Problem> {
        Ok(std::thread::current().name().map(str::to_owned))
    }

    #[test]
    fn only_large_requests_leave_the_threads_that_answer() {
        let runtime = |name| {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(1).thread_name(name).build().expect("a runtime")
        };
        let (front, back) = (runtime("front"), runtime("back"));
        let bulk = Bulk::on(back.handle().clone());
        let ran_on = |bulk: Bulk, bytes| {
            let ran = front.spawn(async move { bulk.run(bytes, name_of_thread()).await });
            front.block_on(ran).expect("it ends").expect("it succeeds").expect("a name")
        };
        assert_eq!(ran_on(bulk.clone(), LARGE_BYTES), "front");
        assert_eq!(ran_on(bulk.clone(), LARGE_BYTES + 1), "back");
        assert_eq!(ran_on(Bulk::default(), LARGE_BYTES + 1), "front");
        let panics = front.spawn(async move { bulk.run::<()>(1 << 20, async { panic!("in a request") }).await });
        let problem = front.block_on(panics).expect("it ends").expect_err("it failed");
        assert_eq!(problem.status, 500);
    }
}
