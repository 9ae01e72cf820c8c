//! The numbers in the records' small fields. Unknown numbers are kept and never an error.

macro_rules! numbers {
    ($(#[$doc:meta])* $name:ident {
        $($(#[$vdoc:meta])* $variant:ident = $n:literal $word:literal),+ $(,)?
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u8)]
        pub enum $name { $($(#[$vdoc])* $variant = $n),+ }

        impl $name {
            /// All that this version knows.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// From its number; `None` for one that this version does not know.
            #[inline]
            pub const fn from_number(n: u8) -> Option<Self> {
                match n { $($n => Some($name::$variant),)+ _ => None }
            }

            /// Its number in the records.
            #[inline]
            pub const fn number(self) -> u8 {
                self as u8
            }

            /// The word in manifests and cases.
            pub const fn name(self) -> &'static str {
                match self { $($name::$variant => $word),+ }
            }

            /// From the word in manifests and cases.
            pub fn named(word: &str) -> Option<Self> {
                match word { $($word => Some($name::$variant),)+ _ => None }
            }
        }
    };
}

numbers! {
    /// What happened.
    EventKind {
        /// A packet of a flow, with its payload up to the snap length.
        Packet = 1 "packet",
        /// The first packet of a flow.
        FlowStart = 2 "flow-start",
        /// The first packet of the other direction: its TCP flags or ICMP type tell open from
        /// closed.
        FlowReply = 3 "flow-reply",
        /// The TCP handshake is complete.
        FlowEstablished = 4 "flow-established",
        /// The flow is over; `code` is the reason.
        FlowEnd = 5 "flow-end",
        /// A piece of a reassembled stream.
        StreamData = 6 "stream-data",
        /// A transaction went on or ended in one direction.
        Transaction = 7 "transaction",
        /// The host's matcher found a pattern.
        Hit = 8 "hit",
        /// The engine found something malformed or odd; `code` is its number.
        Anomaly = 9 "anomaly",
        /// Time passed; comes as the manifest's `tick_ms` says. Has no flow.
        Tick = 10 "tick",
        /// The input is over; the last event there is. Has no flow.
        EndOfInput = 11 "end-of-input",
        /// The client answered our side's SYN-ACK: its address is not forged.
        FlowProven = 12 "flow-proven",
    }
}

numbers! {
    /// Which way a packet of a flow went.
    Direction {
        /// From the client to the server.
        ToServer = 0 "to-server",
        /// From the server to the client.
        ToClient = 1 "to-client",
    }
}

/// What a buffer holds, by the names that rules use. Numbers are in ranges per protocol; those
/// from 200 on hold a number: eight bytes, little-endian.
pub mod buffer_kind {
    macro_rules! kinds {
        ($($(#[$doc:meta])* $name:ident = $n:literal $word:literal),+ $(,)?) => {
            $($(#[$doc])* pub const $name: u16 = $n;)+
            /// All that this version knows: number and name.
            pub const ALL: &[(u16, &str)] = &[$(($n, $word)),+];
        };
    }

    /// The first of those that hold a number.
    pub const FIRST_NUMBER: u16 = 200;
    /// Kinds are below this.
    pub const COUNT: usize = 256;

    /// The name of a kind.
    pub fn name(kind: u16) -> Option<&'static str> {
        ALL.iter().find(|row| row.0 == kind).map(|row| row.1)
    }

    /// The kind of a name.
    pub fn named(word: &str) -> Option<u16> {
        ALL.iter().find(|row| row.1 == word).map(|row| row.0)
    }

    kinds! {
        /// The bytes behind the transport header of one packet.
        PAYLOAD = 1 "payload",
        /// A piece of a reassembled stream: a window of what came before, then the new bytes.
        STREAM = 2 "stream",
        /// IPv4 header with options.
        IPV4_HDR = 3 "ipv4.hdr",
        /// IPv6 header with extension headers.
        IPV6_HDR = 4 "ipv6.hdr",
        /// TCP header with options.
        TCP_HDR = 5 "tcp.hdr",
        /// UDP header.
        UDP_HDR = 6 "udp.hdr",
        /// ICMP header, up to the end of the packet.
        ICMPV4_HDR = 7 "icmpv4.hdr",
        /// ICMPv6 header.
        ICMPV6_HDR = 8 "icmpv6.hdr",
        /// Source address of the packet, 4 or 16 bytes.
        IP_SRC = 9 "ip.src",
        /// Method.
        HTTP_METHOD = 10 "http.method",
        /// Normalised URI.
        HTTP_URI = 11 "http.uri",
        /// URI as sent.
        HTTP_URI_RAW = 12 "http.uri.raw",
        /// Version as sent, e.g. `HTTP/1.1`.
        HTTP_PROTOCOL = 13 "http.protocol",
        /// Request line without its line end.
        HTTP_REQUEST_LINE = 14 "http.request_line",
        /// Status line without its line end.
        HTTP_RESPONSE_LINE = 15 "http.response_line",
        /// Status code.
        HTTP_STAT_CODE = 16 "http.stat_code",
        /// Reason phrase.
        HTTP_STAT_MSG = 17 "http.stat_msg",
        /// Normalised headers, each with CRLF.
        HTTP_HEADER = 18 "http.header",
        /// Headers as sent.
        HTTP_HEADER_RAW = 19 "http.header.raw",
        /// CRLF, each name and CRLF, CRLF.
        HTTP_HEADER_NAMES = 20 "http.header_names",
        /// Start line and headers and their empty line.
        HTTP_START = 21 "http.start",
        /// Cookie or Set-Cookie value.
        HTTP_COOKIE = 22 "http.cookie",
        /// User-Agent.
        HTTP_USER_AGENT = 23 "http.user_agent",
        /// Host, lower case, no port.
        HTTP_HOST = 24 "http.host",
        /// Host as sent.
        HTTP_HOST_RAW = 25 "http.host.raw",
        /// Referer.
        HTTP_REFERER = 26 "http.referer",
        /// Accept.
        HTTP_ACCEPT = 27 "http.accept",
        /// Accept-Language.
        HTTP_ACCEPT_LANG = 28 "http.accept_lang",
        /// Accept-Encoding.
        HTTP_ACCEPT_ENC = 29 "http.accept_enc",
        /// Connection.
        HTTP_CONNECTION = 30 "http.connection",
        /// Content-Type.
        HTTP_CONTENT_TYPE = 31 "http.content_type",
        /// Content-Length.
        HTTP_CONTENT_LEN = 32 "http.content_len",
        /// Server.
        HTTP_SERVER = 33 "http.server",
        /// Location.
        HTTP_LOCATION = 34 "http.location",
        /// Body of a request, decoded.
        HTTP_REQUEST_BODY = 35 "http.request_body",
        /// Body of a response, decoded.
        HTTP_RESPONSE_BODY = 36 "http.response_body",
        /// One request header, `name: value`; several.
        HTTP_REQUEST_HEADER = 37 "http.request_header",
        /// One response header, `name: value`; several.
        HTTP_RESPONSE_HEADER = 38 "http.response_header",
        /// Destination address of the packet, 4 or 16 bytes.
        IP_DST = 49 "ip.dst",
        /// Bytes of a file in transfer, decoded.
        FILE_DATA = 50 "file.data",
        /// Name of the file.
        FILE_NAME = 51 "file.name",
        /// What the file is by its first bytes, in libmagic's words.
        FILE_MAGIC = 52 "file.magic",
        /// MD5, 16 bytes; of a complete file.
        FILE_MD5 = 53 "file.md5",
        /// SHA-1, 20 bytes.
        FILE_SHA1 = 54 "file.sha1",
        /// SHA-256, 32 bytes.
        FILE_SHA256 = 55 "file.sha256",
        /// Server name.
        TLS_SNI = 60 "tls.sni",
        /// Version, e.g. `1.2`.
        TLS_VERSION = 61 "tls.version",
        /// Subject of the first certificate.
        TLS_CERT_SUBJECT = 62 "tls.cert_subject",
        /// Issuer of the first certificate.
        TLS_CERT_ISSUER = 63 "tls.cert_issuer",
        /// Serial of the first certificate, `AA:BB`.
        TLS_CERT_SERIAL = 64 "tls.cert_serial",
        /// SHA-1 of the first certificate, `aa:bb`.
        TLS_CERT_FINGERPRINT = 65 "tls.cert_fingerprint",
        /// One certificate, DER; several.
        TLS_CERTS = 66 "tls.certs",
        /// One protocol of ALPN; several.
        TLS_ALPN = 67 "tls.alpn",
        /// One alternative name; several.
        TLS_SUBJECTALTNAME = 68 "tls.subjectaltname",
        /// JA3, hexadecimal MD5.
        JA3_HASH = 69 "ja3.hash",
        /// JA3 before hashing.
        JA3_STRING = 70 "ja3.string",
        /// JA3S, hexadecimal MD5.
        JA3S_HASH = 71 "ja3s.hash",
        /// JA3S before hashing.
        JA3S_STRING = 72 "ja3s.string",
        /// JA4.
        JA4_HASH = 73 "ja4.hash",
        /// Random of the hello.
        TLS_RANDOM = 74 "tls.random",
        /// First 4 bytes of the random.
        TLS_RANDOM_TIME = 75 "tls.random_time",
        /// The other 28 bytes of the random.
        TLS_RANDOM_BYTES = 76 "tls.random_bytes",
        /// A name asked, lower case as sent, dotted; several. Rules: `dns.query`.
        DNS_QUERY_NAME = 80 "dns.query.name",
        /// A name answered; several.
        DNS_ANSWER_NAME = 81 "dns.answer.name",
        /// Any name in a response; several.
        DNS_RESPONSE_RRNAME = 82 "dns.response.rrname",
        /// Protocol version.
        SSH_PROTO = 90 "ssh.proto",
        /// Software version.
        SSH_SOFTWARE = 91 "ssh.software",
        /// HASSH of the client.
        SSH_HASSH = 92 "ssh.hassh",
        /// HASSH of the server.
        SSH_HASSH_SERVER = 93 "ssh.hassh.server",
        /// HASSH before hashing.
        SSH_HASSH_STRING = 94 "ssh.hassh.string",
        /// HASSH of the server before hashing.
        SSH_HASSH_SERVER_STRING = 95 "ssh.hassh.server.string",
        /// HELO or EHLO.
        SMTP_HELO = 100 "smtp.helo",
        /// MAIL FROM.
        SMTP_MAIL_FROM = 101 "smtp.mail_from",
        /// RCPT TO; several.
        SMTP_RCPT_TO = 102 "smtp.rcpt_to",
        /// Command.
        FTP_COMMAND = 103 "ftp.command",
        /// What follows the command.
        FTP_COMMAND_DATA = 104 "ftp.command_data",
        /// Line of a reply; several.
        FTP_REPLY = 105 "ftp.reply",
        /// Name of a pipe.
        SMB_NAMED_PIPE = 106 "smb.named_pipe",
        /// Name of a share.
        SMB_SHARE = 107 "smb.share",
        /// User.
        SMB_NTLMSSP_USER = 108 "smb.ntlmssp_user",
        /// Domain.
        SMB_NTLMSSP_DOMAIN = 109 "smb.ntlmssp_domain",
        /// Bytes of the file so far.
        FILE_SIZE = 200 "file.size",
        /// Opcode.
        DNS_OPCODE = 201 "dns.opcode",
        /// Type asked; several.
        DNS_RRTYPE = 202 "dns.rrtype",
        /// Response code.
        DNS_RCODE = 203 "dns.rcode",
        /// Version on the wire, e.g. 0x0303.
        TLS_VERSION_NUMBER = 204 "tls.version.number",
        /// Seconds since 1970.
        TLS_CERT_NOT_BEFORE = 205 "tls.cert.not_before",
        /// Seconds since 1970.
        TLS_CERT_NOT_AFTER = 206 "tls.cert.not_after",
        /// Certificates in the chain.
        TLS_CERT_CHAIN_LEN = 207 "tls.cert_chain_len",
        /// An event of the application layer: number in the registry of decode; several.
        APP_EVENT = 208 "app.event",
        /// Reply code.
        SMTP_COMMAND_CODE = 209 "smtp.command_code",
        /// What has been seen of the handshake, as bits: 1 client hello, 2 server hello, 4 client
        /// key exchange, 8 server key exchange.
        TLS_STATE = 210 "tls.state",
    }
}

/// Application protocols as a flow's record names them.
pub mod application {
    /// Not known (yet).
    pub const UNKNOWN: u16 = 0;
    /// HTTP/1.
    pub const HTTP: u16 = 1;
    /// TLS.
    pub const TLS: u16 = 2;
    /// DNS.
    pub const DNS: u16 = 3;
    /// SSH.
    pub const SSH: u16 = 4;
    /// SMTP.
    pub const SMTP: u16 = 5;
    /// FTP control.
    pub const FTP: u16 = 6;
    /// SMB.
    pub const SMB: u16 = 7;
    /// Tried everything, none fits.
    pub const FAILED: u16 = 0xffff;
    /// Number and name.
    pub const ALL: &[(u16, &str)] =
        &[(1, "http"), (2, "tls"), (3, "dns"), (4, "ssh"), (5, "smtp"), (6, "ftp"), (7, "smb")];

    /// The name of a protocol.
    pub fn name(number: u16) -> Option<&'static str> {
        ALL.iter().find(|row| row.0 == number).map(|row| row.1)
    }

    /// The protocol of a name.
    pub fn named(word: &str) -> Option<u16> {
        ALL.iter().find(|row| row.1 == word).map(|row| row.0)
    }
}

numbers! {
    /// How a verdict names its offender and its target; the host resolves it by the event's flow.
    PartyKind {
        /// Nobody can be named, e.g. because the source is forged.
        Nobody = 0 "nobody",
        /// The flow's client.
        Client = 1 "client",
        /// The flow's server.
        Server = 2 "server",
        /// Who sent the packet of the event.
        Source = 3 "source",
        /// Whom the packet of the event was sent to.
        Destination = 4 "destination",
        /// The address in the verdict.
        Given = 5 "given",
        /// The link-layer address in the verdict.
        GivenMac = 6 "given-mac",
    }
}

numbers! {
    /// What a detector has finished with.
    DoneScope {
        /// The event's transaction.
        Transaction = 0 "transaction",
        /// The event's direction of the flow.
        Direction = 1 "direction",
        /// The flow.
        Flow = 2 "flow",
        /// What was found in the flow, until [`crate::Done::until`]: it costs more than the flow's
        /// bytes pay for. Events that the detector wants without a hit are shown still.
        Pause = 3 "pause",
    }
}

numbers! {
    /// What `bit` does; it answers what the bit was before.
    Operation {
        /// Ask only.
        Test = 0 "test",
        /// Set it.
        Set = 1 "set",
        /// Clear it.
        Clear = 2 "clear",
    }
}

/// In a small field of a verdict: as the manifest says for this rule.
pub const AS_MANIFEST: u8 = 0xff;
/// `FlowRec::flags`: the client end is on the protected side.
pub const FLOW_CLIENT_INSIDE: u8 = 1;
/// `FlowRec::flags`: the server end is on the protected side.
pub const FLOW_SERVER_INSIDE: u8 = 2;
/// `FlowRec::flags`: met in the middle, and by policy its streams are not read: nobody can say that
/// it is established.
pub const FLOW_UNFOLLOWED: u8 = 4;

/// TCP flags as they are on the wire.
pub mod tcp {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// Synchronise sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset the connection.
    pub const RST: u8 = 0x04;
    /// Push.
    pub const PSH: u8 = 0x08;
    /// The acknowledgement number counts.
    pub const ACK: u8 = 0x10;
    /// The urgent pointer counts.
    pub const URG: u8 = 0x20;
    /// ECN echo.
    pub const ECE: u8 = 0x40;
    /// Congestion window reduced.
    pub const CWR: u8 = 0x80;
}
