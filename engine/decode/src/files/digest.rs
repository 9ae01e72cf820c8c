//! The digests of a file, as many as are asked for. Must never know what they are for.

use crate::limits::Hashes;
use md5::Digest as _;

/// Digests of the bytes so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Digests {
    md5: Option<Box<md5::Md5>>,
    sha1: Option<Box<sha1::Sha1>>,
    sha256: Option<Box<sha2::Sha256>>,
}

/// Finished digests.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Digested {
    pub(crate) md5: Option<[u8; 16]>,
    pub(crate) sha1: Option<[u8; 20]>,
    pub(crate) sha256: Option<[u8; 32]>,
}

impl Digests {
    pub(crate) fn new(hashes: Hashes) -> Self {
        Self {
            md5: hashes.md5.then(Box::default),
            sha1: hashes.sha1.then(Box::default),
            sha256: hashes.sha256.then(Box::default),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
        if let Some(sha1) = &mut self.sha1 {
            sha1.update(bytes);
        }
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(bytes);
        }
    }

    pub(crate) fn finish(&mut self) -> Digested {
        Digested {
            md5: self.md5.take().map(|d| d.finalize().into()),
            sha1: self.sha1.take().map(|d| d.finalize().into()),
            sha256: self.sha256.take().map(|d| d.finalize().into()),
        }
    }

    pub(crate) fn memory(&self) -> usize {
        self.md5.as_ref().map_or(0, |_| size_of::<md5::Md5>())
            + self.sha1.as_ref().map_or(0, |_| size_of::<sha1::Sha1>())
            + self.sha256.as_ref().map_or(0, |_| size_of::<sha2::Sha256>())
    }
}
