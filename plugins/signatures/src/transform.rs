//! What happens to a buffer's bytes before they are tested.

use crate::world::{Found, World};
use md5::Md5;
use portcullis_rules_form::Transform;
use sha1::{Digest, Sha1};
use sha2::Sha256;

/// Carries out one transform. `None` where it cannot be: the part then does not match.
pub(crate) fn apply(
    transform: &Transform,
    bytes: &[u8],
    world: &mut impl World,
) -> Option<Vec<u8>> {
    let space = |b: &u8| matches!(b, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r');
    Some(match transform {
        Transform::CompressWhitespace => {
            let mut before = false;
            let keep = |b: &&u8| {
                let now = space(b);
                let both = now && before;
                before = now;
                !both
            };
            bytes.iter().filter(keep).copied().collect()
        }
        Transform::DotPrefix => [b".", bytes].concat(),
        Transform::HeaderLowercase => header_lowercase(bytes),
        Transform::Md5 => Md5::digest(bytes).to_vec(),
        Transform::Sha1 => Sha1::digest(bytes).to_vec(),
        Transform::Sha256 => Sha256::digest(bytes).to_vec(),
        Transform::StripPseudoHeaders => bytes
            .split_inclusive(|b| *b == b'\n')
            .filter(|line| line.first() != Some(&b':'))
            .flatten()
            .copied()
            .collect(),
        Transform::StripWhitespace => bytes.iter().filter(|b| !space(b)).copied().collect(),
        Transform::ToLowercase => bytes.to_ascii_lowercase(),
        Transform::ToUppercase => bytes.to_ascii_uppercase(),
        Transform::UrlDecode => url_decode(bytes),
        Transform::Xor(key) => bytes.iter().zip(key.iter().cycle()).map(|(b, k)| b ^ k).collect(),
        Transform::Regex(regex) => match world.regex_in(*regex, bytes, 0) {
            Found::At(from, to) => {
                bytes.get(usize::try_from(from).ok()?..usize::try_from(to).ok()?)?.to_vec()
            }
            // As in Suricata 7: what it does not match stays as it is.
            Found::No => bytes.to_vec(),
            Found::Unknown => return None,
        },
    })
}

fn header_lowercase(bytes: &[u8]) -> Vec<u8> {
    let mut in_name = true;
    let lower = |&b: &u8| {
        match b {
            b':' => in_name = false,
            b'\n' => in_name = true,
            _ => {}
        }
        if in_name { b.to_ascii_lowercase() } else { b }
    };
    bytes.iter().map(lower).collect()
}

fn url_decode(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
        match (first, tail) {
            (b'%', [a, b, more @ ..]) => match (digit(*a), digit(*b)) {
                (Some(high), Some(low)) => {
                    out.push(high << 4 | low);
                    rest = more;
                }
                _ => out.push(b'%'),
            },
            (b'+', _) => out.push(b' '),
            _ => out.push(first),
        }
    }
    out
}

/// As `base64_decode` of RFC 4648 in rules: stops at what is no digit; blanks are not digits.
pub(crate) fn base64(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() / 4 * 3);
    let (mut word, mut bits) = (0u32, 0u32);
    for &byte in bytes {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => break,
        };
        word = word << 6 | u32::from(digit);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            let [.., low] = (word >> bits).to_be_bytes();
            out.push(low);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_decoded() {
        assert_eq!(url_decode(b"a%41+%zz%4"), b"aA %zz%4");
        assert_eq!(base64(b"aGVsbG8="), b"hello");
        assert_eq!(base64(b"aGVs bG8"), b"hel");
        assert_eq!(header_lowercase(b"Host: AbC\r\nX-Y: Z\r\n"), b"host: AbC\r\nx-y: Z\r\n");
    }
}
