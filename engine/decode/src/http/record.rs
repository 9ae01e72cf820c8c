//! A transaction of HTTP as the journal prints it. Must never know how it is decoded.

/// `Content-Range` of a response.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ContentRange {
    /// As sent.
    pub raw: Vec<u8>,
    /// First byte.
    pub start: Option<u64>,
    /// Last byte.
    pub end: Option<u64>,
    /// Bytes of the whole.
    pub size: Option<u64>,
}

/// A transaction as the journal prints it (`http`), fields in its order; absent where not sent.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct HttpRecord {
    /// Transaction in the flow, from 0 as the journal counts (`tx_id`, outside of `http`).
    pub tx_id: u32,
    /// Host, lower case, without port.
    pub hostname: Option<Vec<u8>>,
    /// Port that the request names.
    pub http_port: Option<u16>,
    /// Address as sent.
    pub url: Option<Vec<u8>>,
    /// User-Agent.
    pub http_user_agent: Option<Vec<u8>>,
    /// Content-Type of the response, up to its first `;`.
    pub http_content_type: Option<Vec<u8>>,
    /// Content-Range of the response.
    pub content_range: Option<ContentRange>,
    /// Referer.
    pub http_refer: Option<Vec<u8>>,
    /// Method.
    pub http_method: Option<Vec<u8>>,
    /// Version of the request.
    pub protocol: Option<Vec<u8>>,
    /// Status code.
    pub status: Option<u16>,
    /// Location of a redirecting response.
    pub redirect: Option<Vec<u8>>,
    /// Bytes of the response's body as transferred, without chunk marks, before decoding.
    pub length: u64,
}
