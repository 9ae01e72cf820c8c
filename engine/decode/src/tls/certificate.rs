//! Certificates (RFC 5280) as rules and the journal name their fields. Must never know a flow.

use crate::events::app_event;
use sha1::{Digest, Sha1};
use std::fmt::Write;
use x509_parser::error::X509Error;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::parse_x509_certificate;

/// Alternative names of one certificate that are kept.
const NAMES_MAX: usize = 128;

/// What is told about the first certificate of a chain.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Certificate {
    /// `C=US, ST=California, O=Example, CN=example.org`.
    pub subject: String,
    /// The same of who signed it.
    pub issuer: String,
    /// `0A:1B`.
    pub serial: String,
    /// Seconds since 1970.
    pub not_before: i64,
    /// Seconds since 1970.
    pub not_after: i64,
    /// Alternative names: hosts, addresses, mailboxes and URIs.
    pub names: Vec<String>,
}

/// Reads one; the error is the event that says what is wrong with it.
pub fn read(der: &[u8]) -> Result<Certificate, u16> {
    let (_, certificate) = parse_x509_certificate(der).map_err(|error| event(&error))?;
    let mut names = Vec::new();
    for extension in certificate.extensions() {
        if let ParsedExtension::SubjectAlternativeName(alternative) = extension.parsed_extension() {
            let known = alternative.general_names.iter().filter_map(alternative_name);
            names.extend(known.take(NAMES_MAX - names.len().min(NAMES_MAX)));
        }
    }
    Ok(Certificate {
        subject: certificate.subject().to_string(),
        issuer: certificate.issuer().to_string(),
        serial: colons(certificate.raw_serial(), Case::Upper),
        not_before: certificate.validity().not_before.timestamp(),
        not_after: certificate.validity().not_after.timestamp(),
        names,
    })
}

/// SHA-1 over the whole, `aa:bb:…`.
pub fn fingerprint(der: &[u8]) -> String {
    colons(&Sha1::digest(der), Case::Lower)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Case {
    Lower,
    Upper,
}

fn colons(bytes: &[u8], case: Case) -> String {
    let mut text = String::with_capacity(3 * bytes.len());
    for (at, byte) in bytes.iter().enumerate() {
        if at > 0 {
            text.push(':');
        }
        let _ = match case {
            Case::Lower => write!(text, "{byte:02x}"),
            Case::Upper => write!(text, "{byte:02X}"),
        };
    }
    text
}

fn alternative_name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::RFC822Name(text) | GeneralName::DNSName(text) | GeneralName::URI(text) => {
            Some((*text).to_owned())
        }
        GeneralName::IPAddress(bytes) => match (<[u8; 4]>::try_from(*bytes), bytes.len()) {
            (Ok(address), _) => Some(std::net::Ipv4Addr::from(address).to_string()),
            (_, 16) => {
                let address = <[u8; 16]>::try_from(*bytes).ok()?;
                Some(std::net::Ipv6Addr::from(address).to_string())
            }
            _ => None,
        },
        _ => None,
    }
}

fn event(error: &x509_parser::nom::Err<X509Error>) -> u16 {
    use x509_parser::nom::Err;
    match error {
        Err::Incomplete(_) => app_event::TLS_CERTIFICATE_INVALID_LENGTH,
        Err::Error(error) | Err::Failure(error) => match error {
            X509Error::InvalidVersion => app_event::TLS_CERTIFICATE_INVALID_VERSION,
            X509Error::InvalidSerial => app_event::TLS_CERTIFICATE_INVALID_SERIAL,
            X509Error::InvalidAlgorithmIdentifier => {
                app_event::TLS_CERTIFICATE_INVALID_ALGORITHMIDENTIFIER
            }
            X509Error::InvalidX509Name => app_event::TLS_CERTIFICATE_INVALID_X509NAME,
            X509Error::InvalidDate => app_event::TLS_CERTIFICATE_INVALID_DATE,
            X509Error::InvalidExtensions => app_event::TLS_CERTIFICATE_INVALID_EXTENSIONS,
            X509Error::Der(_) => app_event::TLS_CERTIFICATE_INVALID_DER,
            _ => app_event::TLS_INVALID_CERTIFICATE,
        },
    }
}

/// Seconds since 1970 as the journal has `notbefore`: `2013-02-07T10:17:47`.
pub fn iso_date(seconds: i64) -> String {
    let (days, time) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days since the first of March of year 0, so that a leap day ends its year.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (time / 3_600, time / 60 % 60, time % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
}

#[cfg(test)]
mod tests {
    use super::{fingerprint, iso_date, read};
    use crate::events::app_event;

    #[test]
    fn dates() {
        assert_eq!(iso_date(0), "1970-01-01T00:00:00");
        assert_eq!(iso_date(951_782_400), "2000-02-29T00:00:00");
        assert_eq!(iso_date(1_360_232_267), "2013-02-07T10:17:47");
        assert_eq!(iso_date(4_102_444_799), "2099-12-31T23:59:59");
        assert_eq!(iso_date(-1), "1969-12-31T23:59:59");
    }

    #[test]
    fn what_is_no_certificate_has_an_event() {
        assert_eq!(read(&[0x30, 0x82, 0xff]), Err(app_event::TLS_CERTIFICATE_INVALID_LENGTH));
        assert!(read(b"junk").is_err());
        assert_eq!(fingerprint(b""), "da:39:a3:ee:5e:6b:4b:0d:32:55:bf:ef:95:60:18:90:af:d8:07:09");
    }
}
