//! Fingerprints of hellos: JA3, JA3S (Salesforce) and JA4 (FoxIO). Must never know a flow.

use super::hello::{Hello, extension, is_grease};
use md5::Md5;
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// JA3 before hashing: `version,ciphers,extensions,groups,formats`, numbers joined by `-`, without
/// those that mean nothing.
pub fn ja3_string(hello: &Hello) -> String {
    let mut text = hello.version.to_string();
    for list in [&hello.ciphers, &hello.extensions, &hello.groups] {
        text.push(',');
        join(list.iter().copied().filter(|&value| !is_grease(value)), &mut text);
    }
    text.push(',');
    join(hello.point_formats.iter().map(|&format| format.into()), &mut text);
    text
}

/// JA3S before hashing: `version,cipher,extensions`.
pub fn ja3s_string(hello: &Hello) -> String {
    let mut text = hello.version.to_string();
    for list in [&hello.ciphers, &hello.extensions] {
        text.push(',');
        join(list.iter().copied().filter(|&value| !is_grease(value)), &mut text);
    }
    text
}

/// The MD5 of a fingerprint's string in hexadecimal.
pub fn md5_hex(text: &[u8]) -> String {
    hex(&Md5::digest(text))
}

/// Bytes in lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn join(values: impl Iterator<Item = u16>, text: &mut String) {
    for (at, value) in values.enumerate() {
        let _ = if at == 0 { write!(text, "{value}") } else { write!(text, "-{value}") };
    }
}

/// JA4 of a client's hello over TCP, e.g. `t13d1516h2_8daaf6152771_e5627efa2ab1`.
pub fn ja4(hello: &Hello) -> String {
    let useful = |list: &[u16]| -> Vec<u16> {
        list.iter().copied().filter(|&value| !is_grease(value)).collect()
    };
    let (mut ciphers, all) = (useful(&hello.ciphers), useful(&hello.extensions));
    let named = if all.contains(&extension::SERVER_NAME) { 'd' } else { 'i' };
    let [first, last] = alpn_ends(hello.alpn.first().map(Vec::as_slice).unwrap_or_default());
    let mut text = format!(
        "t{}{named}{:02}{:02}{first}{last}_",
        ja4_version(hello),
        ciphers.len().min(99),
        all.len().min(99),
    );
    ciphers.sort_unstable();
    text.push_str(&short_hash(&hex_list(&ciphers)));
    text.push('_');
    let mut sorted = all;
    sorted.retain(|&kind| kind != extension::SERVER_NAME && kind != extension::ALPN);
    sorted.sort_unstable();
    let mut rest = hex_list(&sorted);
    if !hello.signatures.is_empty() && !rest.is_empty() {
        rest.push('_');
        rest.push_str(&hex_list(&useful(&hello.signatures)));
    }
    text.push_str(&short_hash(&rest));
    text
}

fn ja4_version(hello: &Hello) -> &'static str {
    let offered = hello.versions.iter().copied().filter(|&version| !is_grease(version)).max();
    match offered.unwrap_or(hello.version) {
        0x0304 => "13",
        0x0303 => "12",
        0x0302 => "11",
        0x0301 => "10",
        0x0300 => "s3",
        0x0002 => "s2",
        _ => "00",
    }
}

/// First and last character of the first protocol; of its hexadecimal form if either is no letter
/// or digit.
fn alpn_ends(alpn: &[u8]) -> [char; 2] {
    let (Some(&first), Some(&last)) = (alpn.first(), alpn.last()) else { return ['0', '0'] };
    if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() {
        return [first.into(), last.into()];
    }
    let digit = |value: u8| char::from_digit(u32::from(value & 0xf), 16).unwrap_or('0');
    [digit(first >> 4), digit(last)]
}

fn hex_list(values: &[u16]) -> String {
    let mut text = String::with_capacity(values.len() * 5);
    for (at, value) in values.iter().enumerate() {
        let _ = if at == 0 { write!(text, "{value:04x}") } else { write!(text, ",{value:04x}") };
    }
    text
}

/// The first twelve digits of the SHA-256; zeros for nothing.
fn short_hash(text: &str) -> String {
    if text.is_empty() {
        return "0".repeat(12);
    }
    let mut hash = hex(&Sha256::digest(text.as_bytes()));
    hash.truncate(12);
    hash
}

#[cfg(test)]
mod tests {
    use super::{alpn_ends, ja3_string, ja3s_string, ja4, md5_hex};
    use crate::tls::Hello;

    /// The example of FoxIO's description of JA4.
    #[test]
    fn ja4_of_the_published_example() {
        let hello = Hello {
            version: 0x0303,
            ciphers: vec![
                0x1a1a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8,
                0xc013, 0xc014, 0x009c, 0x009d, 0x002f, 0x0035,
            ],
            extensions: vec![
                0x3a3a, 0x001b, 0x0000, 0x0033, 0x0010, 0x4469, 0x0017, 0x002d, 0x000d, 0x0005,
                0x0023, 0x0012, 0x002b, 0xff01, 0x000b, 0x000a, 0x0015,
            ],
            alpn: vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            versions: vec![0xdada, 0x0304, 0x0303],
            signatures: vec![0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601],
            ..Hello::default()
        };
        assert_eq!(ja4(&hello), "t13d1516h2_8daaf6152771_e5627efa2ab1");
    }

    /// The examples of Salesforce's description of JA3.
    #[test]
    fn ja3_of_the_published_examples() {
        let text = "769,47-53-5-10-49161-49162-49171-49172-50-56-19-4,0-10-11,23-24-25,0";
        assert_eq!(md5_hex(text.as_bytes()), "ada70206e40642a3e4461f35503241d5");
        let hello = Hello { version: 769, ciphers: vec![4, 5, 0x0a0a], ..Hello::default() };
        assert_eq!(ja3_string(&hello), "769,4-5,,,");
    }

    /// A vector with a length before it, of so many bytes.
    fn vector(width: usize, bytes: &[u8]) -> Vec<u8> {
        let length = u32::try_from(bytes.len()).expect("short").to_be_bytes();
        [&length[4 - width..], bytes].concat()
    }

    fn words(values: &[u16]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_be_bytes()).collect()
    }

    fn extension(number: u16, bytes: &[u8]) -> Vec<u8> {
        [&number.to_be_bytes()[..], &vector(2, bytes)].concat()
    }

    /// Whole hellos: what was hashed is what their bytes say, in the order of their bytes.
    #[test]
    fn ja3_and_ja3s_of_whole_hellos() {
        let name = vector(2, &[&[0][..], &vector(2, b"example.com")].concat());
        let extensions = [
            extension(0, &name),
            extension(10, &vector(2, &words(&[23, 24, 25]))),
            extension(11, &vector(1, &[0])),
        ];
        let ciphers =
            [47, 53, 5, 10, 49161, 49162, 49171, 49172, 50, 56, 19, 4].map(u16::to_be_bytes);
        let body = [
            &[3, 1][..],
            &[7; 32],
            &vector(1, b""),
            &vector(2, ciphers.as_flattened()),
            &vector(1, &[0]),
            &vector(2, &extensions.concat()),
        ];
        let hello = Hello::of_client(&body.concat()).expect("a hello");
        let string = ja3_string(&hello);
        assert_eq!(string, "769,47-53-5-10-49161-49162-49171-49172-50-56-19-4,0-10-11,23-24-25,0");
        assert_eq!(md5_hex(string.as_bytes()), "ada70206e40642a3e4461f35503241d5");
        let answers = [
            extension(65281, &[0]),
            extension(0, b""),
            extension(11, &vector(1, &[0, 1, 2])),
            extension(35, b""),
            extension(5, b""),
            extension(16, &vector(2, &vector(1, b"h2"))),
        ];
        let body =
            [&[3, 1][..], &[9; 32], &vector(1, b""), &[0, 47, 0], &vector(2, &answers.concat())];
        let hello = Hello::of_server(&body.concat()).expect("a hello");
        let string = ja3s_string(&hello);
        assert_eq!(string, "769,47,65281-0-11-35-5-16");
        assert_eq!(md5_hex(string.as_bytes()), "836ce314215654b5b1f85f97c73e506f");
    }

    #[test]
    fn alpn_without_letters_is_hexadecimal() {
        assert_eq!(alpn_ends(b""), ['0', '0']);
        assert_eq!(alpn_ends(b"h"), ['h', 'h']);
        assert_eq!(alpn_ends(&[0xab]), ['a', 'b']);
        assert_eq!(alpn_ends(&[0x30, 0xab]), ['3', 'b']);
    }
}
