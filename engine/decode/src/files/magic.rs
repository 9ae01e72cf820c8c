//! What a file is by its first bytes, in libmagic's words: the kinds that rules ask for most.
//! Must never know a name or a protocol.

/// Offset, bytes, description. The first row that fits is taken.
const ROWS: &[(usize, &[u8], &str)] = &[
    (0, b"%PDF-1.0", "PDF document, version 1.0"),
    (0, b"%PDF-1.1", "PDF document, version 1.1"),
    (0, b"%PDF-1.2", "PDF document, version 1.2"),
    (0, b"%PDF-1.3", "PDF document, version 1.3"),
    (0, b"%PDF-1.4", "PDF document, version 1.4"),
    (0, b"%PDF-1.5", "PDF document, version 1.5"),
    (0, b"%PDF-1.6", "PDF document, version 1.6"),
    (0, b"%PDF-1.7", "PDF document, version 1.7"),
    (0, b"%PDF-", "PDF document"),
    (0, b"\x7fELF\x01\x01", "ELF 32-bit LSB executable"),
    (0, b"\x7fELF\x01\x02", "ELF 32-bit MSB executable"),
    (0, b"\x7fELF\x02\x01", "ELF 64-bit LSB executable"),
    (0, b"\x7fELF\x02\x02", "ELF 64-bit MSB executable"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG image data"),
    (0, b"GIF87a", "GIF image data, version 87a"),
    (0, b"GIF89a", "GIF image data, version 89a"),
    (0, b"\xff\xd8\xff", "JPEG image data"),
    (0, b"BM", "PC bitmap"),
    (0, b"II*\0", "TIFF image data, little-endian"),
    (0, b"MM\0*", "TIFF image data, big-endian"),
    (8, b"WEBP", "RIFF (little-endian) data, Web/P image"),
    (8, b"WAVE", "RIFF (little-endian) data, WAVE audio"),
    (8, b"AVI ", "RIFF (little-endian) data, AVI"),
    (0, b"\x00\x00\x01\x00", "MS Windows icon resource"),
    (30, b"[Content_Types].xml", "Microsoft OOXML"),
    (30, b"META-INF/", "Java archive data (JAR)"),
    (0, b"PK\x03\x04\x14\x00", "Zip archive data, at least v2.0 to extract"),
    (0, b"PK\x03\x04\x0a\x00", "Zip archive data, at least v1.0 to extract"),
    (0, b"PK\x03\x04", "Zip archive data"),
    (0, b"PK\x05\x06", "Zip archive data (empty)"),
    (0, b"Rar!\x1a\x07\x01", "RAR archive data, v5"),
    (0, b"Rar!\x1a\x07\x00", "RAR archive data"),
    (0, b"7z\xbc\xaf\x27\x1c", "7-zip archive data, version 0.4"),
    (0, b"\x1f\x8b", "gzip compressed data"),
    (0, b"BZh", "bzip2 compressed data"),
    (0, b"\xfd7zXZ\0", "XZ compressed data"),
    (0, b"\x28\xb5\x2f\xfd", "Zstandard compressed data (v0.8+)"),
    (0, b"\x1f\x9d", "compress'd data"),
    (257, b"ustar", "POSIX tar archive"),
    (0, b"MSCF", "Microsoft Cabinet archive data"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "Composite Document File V2 Document"),
    (0, b"{\\rtf1", "Rich Text Format data, version 1"),
    (0, b"{\\rtf", "Rich Text Format data"),
    (0, b"\xca\xfe\xba\xbe\x00\x00\x00", "compiled Java class data"),
    (0, b"CWS", "Macromedia Flash data (compressed)"),
    (0, b"ZWS", "Macromedia Flash data (compressed)"),
    (0, b"FWS", "Macromedia Flash data"),
    (0, b"\x4c\x00\x00\x00\x01\x14\x02\x00", "MS Windows shortcut"),
    (0, b"ITSF", "MS Windows HtmlHelp Data"),
    (0, b"dex\n035\0", "Dalvik dex file version 035"),
    (0, b"\xcf\xfa\xed\xfe", "Mach-O 64-bit executable"),
    (0, b"\xce\xfa\xed\xfe", "Mach-O executable"),
    (0, b"\xfe\xed\xfa\xce", "Mach-O executable"),
    (0, b"\xfe\xed\xfa\xcf", "Mach-O 64-bit executable"),
    (0, b"!<arch>\n", "current ar archive"),
    (0, b"\xed\xab\xee\xdb", "RPM v3.0 bin"),
    (0, b"OggS", "Ogg data"),
    (0, b"fLaC", "FLAC audio bitstream data"),
    (0, b"ID3", "Audio file with ID3"),
    (4, b"ftyp", "ISO Media"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "Microsoft ASF"),
    (0, b"FLV\x01", "Macromedia Flash Video"),
    (0, b"SQLite format 3\0", "SQLite 3.x database"),
    (0, b"-----BEGIN CERTIFICATE-----", "PEM certificate"),
    (0, b"\xd4\xc3\xb2\xa1", "pcap capture file, microsecond ts (little-endian)"),
    (0, b"wOFF", "Web Open Font Format"),
    (0, b"wOF2", "Web Open Font Format (Version 2)"),
    (0, b"#!/bin/sh", "POSIX shell script, ASCII text executable"),
    (0, b"#!/bin/bash", "Bourne-Again shell script, ASCII text executable"),
    (0, b"#!/usr/bin/perl", "Perl script text executable"),
    (0, b"#!/usr/bin/env python", "Python script, ASCII text executable"),
    (0, b"#!/usr/bin/python", "Python script, ASCII text executable"),
    (0, b"<?xml", "XML document text"),
    (0, b"<?php", "PHP script, ASCII text"),
    (0, b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR", "EICAR virus test files"),
];

/// What a file is, from its first bytes (512 are enough).
pub fn magic(bytes: &[u8]) -> &'static str {
    if bytes.is_empty() {
        return "empty";
    }
    if bytes.starts_with(b"MZ") {
        return executable(bytes);
    }
    let row = ROWS.iter().find(|row| bytes.get(row.0..).is_some_and(|b| b.starts_with(row.1)));
    row.map_or_else(|| text(bytes), |row| row.2)
}

/// Executables of DOS and Windows: the second header tells.
fn executable(bytes: &[u8]) -> &'static str {
    let field = bytes.get(0x3c..0x40).and_then(|b| <[u8; 4]>::try_from(b).ok());
    let at = field.map_or(0, u32::from_le_bytes) as usize;
    let header = bytes.get(at..).unwrap_or_default();
    if !header.starts_with(b"PE\0\0") {
        return "MS-DOS executable";
    }
    let plus = header.get(24..26) == Some(b"\x0b\x02");
    let library = header.get(23).is_some_and(|flags| flags & 0x20 != 0);
    match (plus, library) {
        (false, false) => "PE32 executable (GUI) Intel 80386, for MS Windows",
        (false, true) => "PE32 executable (DLL) (GUI) Intel 80386, for MS Windows",
        (true, false) => "PE32+ executable (GUI) x86-64, for MS Windows",
        (true, true) => "PE32+ executable (DLL) (GUI) x86-64, for MS Windows",
    }
}

/// Whether a tag of HTML is in it.
fn has_tag(text: &[u8]) -> bool {
    let tags = [&b"!doctype html"[..], b"html", b"head", b"script"];
    let mut rest = text;
    while let Some(at) = rest.iter().position(|&b| b == b'<') {
        rest = rest.get(at + 1..).unwrap_or_default();
        let begins =
            |tag: &&[u8]| rest.get(..tag.len()).is_some_and(|b| b.eq_ignore_ascii_case(tag));
        if tags.iter().any(begins) {
            return true;
        }
    }
    false
}

fn text(bytes: &[u8]) -> &'static str {
    let start = bytes.get(..bytes.len().min(512)).unwrap_or_default();
    let plain = |b: &u8| matches!(b, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b | 0x20..=0x7e);
    if has_tag(start) {
        "HTML document, ASCII text"
    } else if start.iter().all(plain) {
        "ASCII text"
    } else if std::str::from_utf8(start).is_ok_and(|t| !t.contains('\0')) {
        "UTF-8 Unicode text"
    } else {
        "data"
    }
}

#[cfg(test)]
mod tests {
    use super::magic;

    #[test]
    fn kinds() {
        assert_eq!(magic(b"%PDF-1.4 x"), "PDF document, version 1.4");
        assert_eq!(magic(b"MZ..."), "MS-DOS executable");
        let mut pe = vec![0u8; 0x80];
        pe[..2].copy_from_slice(b"MZ");
        pe[0x3c] = 0x40;
        pe[0x40..0x44].copy_from_slice(b"PE\0\0");
        assert!(magic(&pe).starts_with("PE32 executable"));
        assert_eq!(magic(b"hello\n"), "ASCII text");
        assert_eq!(magic(b"<HTML>"), "HTML document, ASCII text");
        assert_eq!(magic(b"\x01\xfe\xff"), "data");
        assert_eq!(magic(b""), "empty");
    }
}
