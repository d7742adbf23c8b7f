//! A body of form fields and files (RFC 7578).

use super::template::{Captures, ExpandError, Template};

/// A field, or a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// The field's name.
    pub name: String,
    /// Its text, or what is in the file.
    pub content: Template,
    /// The file's name; absent in a field.
    pub file: Option<String>,
    /// The media type, where the session says one.
    pub media_type: Option<String>,
}

impl Part {
    pub(super) fn uses(&self, name: &str) -> bool {
        self.content.names().any(|used| used == name)
    }
}

/// The content type and the body.
pub(super) fn write(parts: &[Part], captures: &Captures) -> Result<(String, Vec<u8>), ExpandError> {
    let mut contents = Vec::new();
    for part in parts {
        contents.push(part.content.expand(captures)?);
    }
    // In no part, or it would end there.
    let mut boundary = "chatctl-part".to_owned();
    while contents.iter().any(|content| content.contains(&boundary)) {
        boundary.push('-');
    }
    let mut body = String::new();
    for (part, content) in parts.iter().zip(contents) {
        body.push_str(&format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{}\"",
            quoted(&part.name)
        ));
        if let Some(file) = &part.file {
            body.push_str(&format!("; filename=\"{}\"", quoted(file)));
        }
        if let Some(media_type) = &part.media_type {
            body.push_str(&format!("\r\nContent-Type: {media_type}"));
        }
        body.push_str(&format!("\r\n\r\n{content}\r\n"));
    }
    body.push_str(&format!("--{boundary}--\r\n"));
    Ok((
        format!("multipart/form-data; boundary={boundary}"),
        body.into_bytes(),
    ))
}

/// As browsers write a name (HTML, multipart/form-data encoding algorithm).
fn quoted(name: &str) -> String {
    name.replace('"', "%22")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

#[cfg(test)]
mod tests {
    use super::{Captures, Part, Template, write};

    #[test]
    fn a_boundary_is_in_no_part() {
        let part = Part {
            name: "a \"b\"".to_owned(),
            content: Template::literal("--chatctl-part\r\n"),
            file: Some("b.txt".to_owned()),
            media_type: Some("text/plain".to_owned()),
        };
        let (content_type, body) = write(&[part], &Captures::new()).unwrap();
        assert_eq!(content_type, "multipart/form-data; boundary=chatctl-part-");
        assert_eq!(
            String::from_utf8(body).unwrap(),
            "--chatctl-part-\r\nContent-Disposition: form-data; name=\"a %22b%22\"; filename=\"b.txt\"\r\n\
             Content-Type: text/plain\r\n\r\n--chatctl-part\r\n\r\n--chatctl-part---\r\n"
        );
    }
}
