//! The tasks that serve clients, so that they can be cut off.

use pin_project_lite::pin_project;
use std::{
    collections::HashMap,
    future::Future,
    mem,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll},
};
use tokio::task::AbortHandle;

/// The tasks that serve clients.
#[derive(Clone, Default)]
pub(super) struct Tasks(Arc<Mutex<List>>);

#[derive(Default)]
struct List {
    last: u64,
    /// Without a handle, one that is about to begin.
    running: HashMap<u64, Option<AbortHandle>>,
    is_cut_off: bool,
}

impl Tasks {
    /// Spawns a task that holds something for as long as it runs.
    pub(super) fn spawn<F>(&self, task: F, held: impl Send + 'static)
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let listed = self.enlist();
        let number = listed.number;
        // The list is not held meanwhile: a runtime that shuts down drops the task at once, and it strikes itself off.
        let handle = tokio::spawn(Running { task, listed, held }).abort_handle();
        let mut list = self.list();
        if list.is_cut_off {
            drop(list);
            handle.abort();
        } else if let Some(running) = list.running.get_mut(&number) {
            *running = Some(handle);
        }
    }

    fn enlist(&self) -> Listed {
        let mut list = self.list();
        list.last += 1;
        let number = list.last;
        list.running.insert(number, None);
        Listed {
            tasks: self.clone(),
            number,
        }
    }

    /// Drops all that still run, each at its await, and all that such a one may yet spawn.
    pub(super) fn cut_off(&self) {
        let running = {
            let mut list = self.list();
            list.is_cut_off = true;
            mem::take(&mut list.running)
        };
        for handle in running.into_values().flatten() {
            handle.abort();
        }
    }

    fn list(&self) -> MutexGuard<'_, List> {
        let lock = self.0.lock();
        lock.expect("no code panics while it holds this lock")
    }
}

pin_project! {
    struct Running<F, H> {
        #[pin]
        task: F,
        listed: Listed,
        held: H,
    }
}

impl<F: Future, H> Future for Running<F, H> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.project().task.poll(cx)
    }
}

/// Its place on the list, until it is dropped.
struct Listed {
    tasks: Tasks,
    number: u64,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.tasks.list().running.remove(&self.number);
    }
}
