//! Acts as a page of another origin: what a browser would refuse (fetch.spec.whatwg.org, CORS).

use super::chat::Chat;
use super::stage::Stage;
use crate::http::Outgoing;

impl Stage<'_> {
    /// What a browser would refuse a page of `origin`, in words.
    pub(super) async fn refused_by_cors(
        &self,
        chat: &Chat,
        origin: &str,
    ) -> anyhow::Result<Vec<String>> {
        let mut refused = Vec::new();
        let request = chat.turn_request(self.session)?;
        // A browser asks no preflight before a WebSocket, and hides nothing of it from a page.
        let is_socket = self.session.request.handshake.is_some();
        let content_type = request
            .headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("content-type"))
            .map_or("", |(_, value)| value.as_str());
        // A form or plain text may be sent without asking; JSON may not.
        let asks_first = !is_socket
            && (content_type.starts_with("application/json")
                || request.method != "GET" && request.method != "POST");
        if asks_first {
            let preflight = Outgoing {
                method: "OPTIONS".to_owned(),
                path: request.path.clone(),
                headers: vec![
                    (
                        "access-control-request-method".to_owned(),
                        request.method.clone(),
                    ),
                    (
                        "access-control-request-headers".to_owned(),
                        "content-type".to_owned(),
                    ),
                ],
                body: Vec::new(),
            };
            let answer = chat.client().send(&preflight).await?;
            let allowed = answer.header("access-control-allow-origin");
            if !(200..300).contains(&answer.status) || !allows(allowed, origin) {
                refused.push(format!(
                    "the preflight `OPTIONS {}` was answered {} with access-control-allow-origin `{}`",
                    request.path,
                    answer.status,
                    allowed.unwrap_or("-")
                ));
            }
            let headers = answer
                .header("access-control-allow-headers")
                .unwrap_or("")
                .to_lowercase();
            if refused.is_empty() && !headers.contains('*') && !headers.contains("content-type") {
                refused.push(format!(
                    "the preflight allows the headers `{headers}`, not content-type"
                ));
            }
        }
        if let Some(history) = &self.session.history {
            let answer = chat.fetch(&history.request).await?;
            let allowed = answer.header("access-control-allow-origin");
            if !allows(allowed, origin) {
                refused.push(format!(
                    "`{}` was answered with access-control-allow-origin `{}`",
                    history.request.written,
                    allowed.unwrap_or("-")
                ));
            }
        }
        Ok(refused)
    }
}

fn allows(header: Option<&str>, origin: &str) -> bool {
    header.is_some_and(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(origin))
}
