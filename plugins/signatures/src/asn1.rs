//! The `asn1` keyword: odd BER elements. Walks elements with a bound, never recursing.

/// A bit string with more padding than its content has room for.
pub(crate) const BITSTRING_OVERFLOW: u8 = 1;
/// A real number in text of more than 256 bytes.
pub(crate) const DOUBLE_OVERFLOW: u8 = 2;

/// Elements looked at in one buffer, as Suricata's default (`asn1-max-frames`).
const ELEMENTS_MAX: usize = 256;

/// Whether any of the checks fires; `oversize` 0 for none.
pub(crate) fn fires(bytes: &[u8], checks: u8, oversize: usize) -> bool {
    let mut rest = bytes;
    for _ in 0..ELEMENTS_MAX {
        let Some(element) = Element::read(rest) else { return false };
        let padding = element.content.first().copied().unwrap_or(0);
        let bits = element.tag == 3 && !element.constructed;
        if checks & BITSTRING_OVERFLOW != 0
            && bits
            && element.length > 0
            && (element.length - 1).saturating_mul(8) < usize::from(padding)
        {
            return true;
        }
        let text = padding & 0xc0 == 0;
        if checks & DOUBLE_OVERFLOW != 0
            && element.tag == 9
            && !element.constructed
            && element.length > 256
            && text
        {
            return true;
        }
        if oversize > 0 && element.length > oversize {
            return true;
        }
        // Into what is constructed, over what is not.
        let skip = if element.constructed { 0 } else { element.length };
        match element.content.get(skip..) {
            Some(next) => rest = next,
            None => return false,
        }
    }
    false
}

struct Element<'a> {
    tag: u32,
    constructed: bool,
    length: usize,
    content: &'a [u8],
}

impl<'a> Element<'a> {
    fn read(bytes: &'a [u8]) -> Option<Element<'a>> {
        let (&first, mut rest) = bytes.split_first()?;
        let mut tag = u32::from(first & 0x1f);
        if tag == 0x1f {
            tag = 0;
            loop {
                let (&byte, tail) = rest.split_first()?;
                rest = tail;
                tag = tag.checked_mul(128)? | u32::from(byte & 0x7f);
                if byte & 0x80 == 0 {
                    break;
                }
            }
        }
        let (&byte, mut rest) = rest.split_first()?;
        let mut length = usize::from(byte);
        if byte & 0x80 != 0 {
            let (digits, tail) = rest.split_at_checked(usize::from(byte & 0x7f))?;
            rest = tail;
            length = digits
                .iter()
                .try_fold(0usize, |n, d| n.checked_mul(256).map(|n| n | usize::from(*d)))?;
        }
        let constructed = first & 0x20 != 0;
        Some(Element { tag, constructed, length, content: rest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_elements_fire() {
        assert!(fires(&[0x03, 0x01, 0x0f], BITSTRING_OVERFLOW, 0));
        assert!(!fires(&[0x03, 0x02, 0x07, 0xff], BITSTRING_OVERFLOW, 0));
        assert!(fires(&[0x30, 0x06, 0x04, 0x82, 0x10, 0x00, 1, 2], 0, 0x0fff));
        assert!(!fires(&[0x30, 0x02, 0x04, 0x00], 0, 0x0fff));
        assert!(!fires(&[0x1f, 0xff], 3, 1));
    }
}
