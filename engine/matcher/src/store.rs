//! The bytes of all literals, once, in the form in which they are compared.
//!
//! Each byte has a mask: `0xdf` under a letter whose case does not count, `0xff` elsewhere.
//! `(payload & mask) == value` is then exact for both kinds of literal. It must never know
//! groups or windows.

use crate::literal::Case;
use std::collections::HashMap;

/// Where a text is in the [`Store`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Text {
    pub(crate) start: u32,
    pub(crate) length: u16,
}

/// The texts of all literals: those of the same bytes and case are stored once.
#[derive(Debug, Default)]
pub(crate) struct Store {
    /// Each text's bytes, then as many masks, so that both are in the same lines of the cache.
    texts: Vec<u8>,
}

/// The store while it grows.
#[derive(Debug, Default)]
pub(crate) struct StoreBuilder {
    store: Store,
    known: HashMap<Vec<u8>, Text>,
}

fn mask_of(byte: u8, case: Case) -> u8 {
    if case == Case::Insensitive && byte.is_ascii_alphabetic() { 0xdf } else { 0xff }
}

impl StoreBuilder {
    /// Stores a text; `None` where the store would pass 4 GiB or the text 64 KiB.
    pub(crate) fn add(&mut self, bytes: &[u8], case: Case) -> Option<Text> {
        let masks = bytes.iter().map(|&byte| mask_of(byte, case));
        let mut key: Vec<u8> = bytes.iter().map(|&b| b & mask_of(b, case)).collect();
        key.extend(masks);
        if let Some(text) = self.known.get(&key) {
            return Some(*text);
        }
        let start = u32::try_from(self.store.texts.len()).ok()?;
        start.checked_add(2 * u32::from(u16::MAX))?;
        let text = Text { start, length: u16::try_from(bytes.len()).ok()? };
        self.store.texts.extend_from_slice(&key);
        self.known.insert(key, text);
        Some(text)
    }

    pub(crate) fn finish(mut self) -> Store {
        self.store.texts.shrink_to_fit();
        self.store
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }
}

impl Store {
    /// The text's bytes (letters whose case does not count in upper case) and masks.
    pub(crate) fn parts(&self, text: Text) -> (&[u8], &[u8]) {
        let (start, length) = (text.start as usize, usize::from(text.length));
        let both = self.texts.get(start..start + 2 * length).unwrap_or_default();
        both.split_at_checked(length).unwrap_or_default()
    }

    /// Whether `payload` is an occurrence of the text. Quickest for eight bytes and more, which
    /// are compared eight at a time, the last eight first.
    pub(crate) fn is(&self, text: Text, payload: &[u8]) -> bool {
        let (values, masks) = self.parts(text);
        if payload.len() != values.len() {
            return false;
        }
        let (Some(value), Some(mask), Some(word)) =
            (values.last_chunk::<8>(), masks.last_chunk::<8>(), payload.last_chunk::<8>())
        else {
            let mut triples = payload.iter().zip(masks).zip(values);
            return triples.all(|((byte, mask), value)| byte & mask == *value);
        };
        let differs = |word: &[u8; 8], mask: &[u8; 8], value: &[u8; 8]| {
            u64::from_le_bytes(*word) & u64::from_le_bytes(*mask) ^ u64::from_le_bytes(*value)
        };
        let (words, _) = payload.as_chunks::<8>();
        let (mask_words, _) = masks.as_chunks::<8>();
        let (value_words, _) = values.as_chunks::<8>();
        differs(word, mask, value) == 0
            && words
                .iter()
                .zip(mask_words)
                .zip(value_words)
                .all(|((word, mask), value)| differs(word, mask, value) == 0)
    }

    /// Bytes of memory.
    pub(crate) fn bytes(&self) -> usize {
        self.texts.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_counts_only_where_it_should() {
        let mut builder = StoreBuilder::default();
        let exact = builder.add(b"Host: [x]~", Case::Sensitive).expect("room");
        let folded = builder.add(b"Host: [x]~", Case::Insensitive).expect("room");
        let store = builder.finish();
        assert!(store.is(exact, b"Host: [x]~") && store.is(folded, b"Host: [x]~"));
        assert!(!store.is(exact, b"hOST: [X]~") && store.is(folded, b"hOST: [X]~"));
        assert!(!store.is(folded, b"hOST: {X]~"), "only letters are folded");
        assert!(!store.is(folded, b"hOST: [X]~ "), "lengths differ");
    }

    #[test]
    fn equal_texts_are_stored_once() {
        let mut builder = StoreBuilder::default();
        let first = builder.add(b"123", Case::Sensitive).expect("room");
        assert_eq!(builder.add(b"123", Case::Insensitive), Some(first), "digits have no case");
        assert_ne!(builder.add(b"12a", Case::Insensitive), builder.add(b"12a", Case::Sensitive));
        assert_eq!(builder.add(b"12A", Case::Insensitive), builder.add(b"12a", Case::Insensitive));
    }
}
