//! What takes too long for the gate's thread: warming spares, looking through `/proc`.
//!
//! One thread; what wants a core does it behind everything else. What is asked for while the same
//! is under way is not asked for again.

use super::keeper::Message;
use crate::backstage::{SPARE_PATIENCE, SWAP_PATIENCE, behind};
use crate::config::Config;
use crate::plugins::{LoadedPlugin, PluginSet};
use crossbeam::channel::{Receiver, Sender, bounded};
use portcullis_detect::Plugin;
use portcullis_pipeline::Post;
use portcullis_types::PluginId;
use std::collections::HashSet;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// Errands that wait at most. One that finds no room is not lost: whoever needs it asks again.
const ERRANDS_MAX: usize = 1_024;
/// Spares made for one request at most, whatever it says.
const SPARES_MAX: usize = 16;

enum Errand {
    Warm { post: Post, plugin: PluginId, version: Arc<Plugin>, count: usize },
    Own(Box<Config>),
    Take(LoadedPlugin, Post),
    Drop(Box<dyn Send>),
}

/// The thread, from the gate's side.
pub(super) struct Errands {
    queue: Option<Sender<Errand>>,
    under_way: HashSet<(Post, PluginId)>,
}

impl Errands {
    pub(super) fn start(
        messages: Sender<Message>,
        plugins: Arc<Mutex<PluginSet>>,
    ) -> io::Result<Self> {
        let (queue, errands) = bounded(ERRANDS_MAX);
        std::thread::Builder::new()
            .name("errands".into())
            .spawn(move || run(&errands, &messages, &plugins))?;
        Ok(Errands { queue: Some(queue), under_way: HashSet::new() })
    }

    fn send(&self, errand: Errand) -> bool {
        self.queue.as_ref().is_some_and(|queue| queue.try_send(errand).is_ok())
    }

    /// Makes spares for a post.
    pub(super) fn warm(
        &mut self,
        post: Post,
        plugin: PluginId,
        version: Arc<Plugin>,
        count: usize,
    ) {
        if self.under_way.insert((post, plugin))
            && !self.send(Errand::Warm { post, plugin, version, count: count.min(SPARES_MAX) })
        {
            self.under_way.remove(&(post, plugin));
        }
    }

    /// The spares that a post asked for are made.
    pub(super) fn made(&mut self, post: Post, plugin: PluginId) {
        self.under_way.remove(&(post, plugin));
    }

    /// Looks up the addresses that protect themselves.
    pub(super) fn look_up_own(&self, config: &Config) {
        self.send(Errand::Own(Box::new(config.clone())));
    }

    /// Has the set of plugins take a version that a post returned to by itself. The post gets the
    /// patterns of that version, before the spare that will look at what they find.
    pub(super) fn take(&self, loaded: LoadedPlugin, post: Post) {
        self.send(Errand::Take(loaded, post));
    }

    /// Frees what is large.
    pub(super) fn free(&self, what: Box<dyn Send>) {
        self.send(Errand::Drop(what));
    }

    /// Ends the thread, after what it is about. It is not waited for: it may wait for a swap that
    /// waits for the gate.
    pub(super) fn end(&mut self) {
        self.queue = None;
    }
}

fn run(errands: &Receiver<Errand>, messages: &Sender<Message>, plugins: &Mutex<PluginSet>) {
    for errand in errands {
        let answers = match errand {
            Errand::Warm { post, plugin, version, count } => {
                let made = behind(SPARE_PATIENCE, || {
                    let spare = || warmed(&version).map(Box::new);
                    (0..count).map(|_| Message::Spare(post, plugin, spare())).collect::<Vec<_>>()
                });
                made.into_iter().chain([Message::SparesMade(post, plugin)]).collect()
            }
            Errand::Own(config) => vec![Message::Own(super::own::protected(&config))],
            Errand::Take(loaded, post) => {
                let mut set = plugins.lock().unwrap_or_else(PoisonError::into_inner);
                set.take(loaded);
                match (post, set.prefilter()) {
                    (Post::Worker(_), Ok(made)) => vec![Message::Patterns(post, made)],
                    _ => Vec::new(),
                }
            }
            Errand::Drop(what) => {
                behind(SWAP_PATIENCE, || drop(what));
                Vec::new()
            }
        };
        for answer in answers {
            // Where the gate has ended nobody needs it.
            let _ = messages.send(answer);
        }
    }
}

fn warmed(version: &Arc<Plugin>) -> Option<portcullis_detect::Instance> {
    version
        .warm()
        .inspect_err(|error| tracing::warn!(plugin = ?version, %error, "a spare is not ready"))
        .ok()
}
