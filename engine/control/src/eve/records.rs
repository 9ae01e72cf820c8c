//! What decoders have read, as events: `http`, `fileinfo`, `dns`, `tls`, `ssh`, `smtp`, `ftp`,
//! `smb`. Fields and their order are Suricata's; all bytes from the wire become safe text. Must
//! never know how a protocol is decoded.

use super::dns;
use super::json::{Hex, Line, Object};
use super::scribe::Scribe;
use super::sessions;
use super::traffic::{FROM_THE_WIRE, ether, frame};
use crate::config::EventType;
use portcullis_decode::Record;
use portcullis_decode::files::FileRecord;
use portcullis_decode::http::HttpRecord;
use portcullis_pipeline::Transaction;

/// How many lines a record makes.
pub(super) fn lines(record: &Record) -> usize {
    match record {
        Record::Dns(record) => dns::lines(record),
        _ => 1,
    }
}

impl Scribe {
    /// One line of a record; it is left empty where its type is switched off.
    pub(super) fn transaction(&mut self, t: &Transaction, number: usize, line: &mut Line) {
        let Some(event_type) = event_type(&t.record) else {
            line.clear();
            return;
        };
        let Some(mut root) = self.begin(line, event_type, t.at) else { return };
        frame(&mut root, t.frame_number);
        // A file's event goes the way of the file.
        let back = matches!(&t.record, Record::File(file) if file.to_client);
        let conversation = if back { &t.conversation.turned() } else { &t.conversation };
        self.conversation(&mut root, conversation);
        root.text("pkt_src", FROM_THE_WIRE);
        ether(&mut root, conversation.macs);
        match &t.record {
            Record::Http(record) => {
                root.number("tx_id", record.tx_id);
                http(&mut root.object("http"), record);
            }
            Record::File(record) => {
                if let Some(carrier) = &record.http {
                    http(&mut root.object("http"), carrier);
                }
                root.text("app_proto", record.app_proto);
                file(&mut root.object("fileinfo"), record);
            }
            Record::Dns(record) => dns::dns(&mut root.object("dns"), record, number),
            Record::Tls(record) => sessions::tls(&mut root.object("tls"), record),
            Record::Ssh(record) => {
                root.number("tx_id", record.tx_id);
                sessions::ssh(&mut root.object("ssh"), record);
            }
            Record::Smtp(record) => {
                root.number("tx_id", record.tx_id);
                sessions::smtp(&mut root, record);
            }
            Record::Ftp(record) => {
                root.number("tx_id", record.tx_id);
                sessions::ftp(&mut root.object("ftp"), record);
            }
            Record::Smb(record) => sessions::smb(&mut root.object("smb"), record),
            _ => {}
        }
        let segment = self.context().segment(t.conversation.segment);
        root.object("portcullis").text("segment", segment);
    }
}

/// The type of the event; `None` for a record that is not told.
fn event_type(record: &Record) -> Option<EventType> {
    Some(match record {
        Record::Http(_) => EventType::Http,
        Record::File(_) => EventType::Fileinfo,
        Record::Dns(_) => EventType::Dns,
        Record::Tls(_) => EventType::Tls,
        Record::Ssh(_) => EventType::Ssh,
        Record::Smtp(_) => EventType::Smtp,
        Record::Ftp(_) => EventType::Ftp,
        Record::Smb(_) => EventType::Smb,
        _ => return None,
    })
}

fn http(http: &mut Object<'_>, record: &HttpRecord) {
    http.wire_if("hostname", record.hostname.as_deref());
    http.number_if("http_port", record.http_port);
    http.wire_if("url", record.url.as_deref());
    http.wire_if("http_user_agent", record.http_user_agent.as_deref());
    http.wire_if("http_content_type", record.http_content_type.as_deref());
    if let Some(range) = &record.content_range {
        let mut object = http.object("content_range");
        object.wire("raw", &range.raw).number_if("start", range.start);
        object.number_if("end", range.end).number_if("size", range.size);
    }
    http.wire_if("http_refer", record.http_refer.as_deref());
    http.wire_if("http_method", record.http_method.as_deref());
    http.wire_if("protocol", record.protocol.as_deref());
    http.number_if("status", record.status);
    http.wire_if("redirect", record.redirect.as_deref());
    http.number("length", record.length);
}

fn file(file: &mut Object<'_>, record: &FileRecord) {
    file.wire("filename", &record.filename).text_if("magic", record.magic);
    file.truth("gaps", record.gaps).text("state", record.state.name());
    if let Some(digest) = &record.md5 {
        file.shown("md5", Hex(digest));
    }
    if let Some(digest) = &record.sha1 {
        file.shown("sha1", Hex(digest));
    }
    if let Some(digest) = &record.sha256 {
        file.shown("sha256", Hex(digest));
    }
    file.truth("stored", false).number("size", record.size);
    file.number_if("start", record.start).number_if("end", record.end);
    file.number("tx_id", record.tx_id);
}
