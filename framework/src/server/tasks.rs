//! The tasks that serve connections, which a shutdown may abort.

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

/// The tasks that serve connections.
#[derive(Clone, Default)]
pub(super) struct Tasks(Arc<Mutex<List>>);

#[derive(Default)]
struct List {
    last: u64,
    /// The running tasks; one that is about to start has no handle yet.
    running: HashMap<u64, Option<AbortHandle>>,
    is_cut_off: bool,
}

impl Tasks {
    /// Spawns a task that holds a value while it runs.
    pub(super) fn spawn<F>(&self, task: F, held: impl Send + 'static)
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let listed = self.enlist();
        let number = listed.number;
        // The lock is not held meanwhile: a runtime that shuts down drops the task at once, and the
        // task then removes itself from the list.
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

    /// Aborts all running tasks, each at its await, and all tasks that they may still spawn.
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

/// The entry of one task in the list, until it is dropped.
struct Listed {
    tasks: Tasks,
    number: u64,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.tasks.list().running.remove(&self.number);
    }
}
