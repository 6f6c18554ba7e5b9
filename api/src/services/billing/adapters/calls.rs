//! Payloads of single calls. Field names are those of the vendors' API references.

use serde_json::Value;

use super::{Call, Dialect, Unusable};

/// What a payload says was used; None: nothing.
pub(super) fn read(dialect: Dialect, payload: &Value) -> Result<Option<Call>, Unusable> {
    match dialect {
        Dialect::Openai => openai(payload).map(Some),
        Dialect::Anthropic => anthropic(payload).map(Some),
        Dialect::Litellm => litellm(payload),
    }
}

fn text(payload: &Value, field: &str) -> Result<String, Unusable> {
    let text = payload[field].as_str().filter(|text| !text.is_empty());
    text.map(str::to_owned).ok_or_else(|| Unusable::new(field, "is missing, or no text"))
}

/// A count; absent or null is none.
fn count(of: &Value, field: &str) -> Result<u64, Unusable> {
    match &of[field] {
        Value::Null => Ok(0),
        Value::Number(number) => number.as_u64().or_else(|| whole(number.as_f64()?)).ok_or_else(|| not_a_count(field)),
        _ => Err(not_a_count(field)),
    }
}

fn not_a_count(field: &str) -> Unusable {
    Unusable::new(field, "is no whole number of tokens")
}

/// Some write whole numbers with a point.
fn whole(number: f64) -> Option<u64> {
    (number >= 0.0 && number.fract() == 0.0 && number < 9e15).then_some(number as u64)
}

/// Seconds since 1970, also with a fraction.
fn seconds_ms(of: &Value) -> Option<i64> {
    of.as_f64().filter(|s| s.is_finite() && s.abs() < 1e11).map(|s| (s * 1_000.0).round() as i64)
}

fn usage(payload: &Value) -> Result<&Value, Unusable> {
    payload.get("usage").filter(|usage| usage.is_object()).ok_or_else(|| {
        Unusable::new("usage", "is missing: a stream tells it in its last event, where that was asked for")
    })
}

/// Chat Completions (`prompt_tokens`, `completion_tokens`) and Responses (`input_tokens`, `output_tokens`).
fn openai(payload: &Value) -> Result<Call, Unusable> {
    let usage = usage(payload)?;
    let chat = usage.get("prompt_tokens").is_some();
    let names = match chat {
        true => ("prompt_tokens", "completion_tokens", "prompt_tokens_details"),
        false => ("input_tokens", "output_tokens", "input_tokens_details"),
    };
    let created = if payload["created"].is_null() { &payload["created_at"] } else { &payload["created"] };
    Ok(Call {
        id: text(payload, "id")?,
        model: text(payload, "model")?,
        time_ms: seconds_ms(created),
        input_tokens: count(usage, names.0)?,
        output_tokens: count(usage, names.1)?,
        cached_tokens: count(&usage[names.2], "cached_tokens")?,
    })
}

/// `input_tokens` are those beyond the cache: what was read from it and written to it is told apart.
fn anthropic(payload: &Value) -> Result<Call, Unusable> {
    let usage = usage(payload)?;
    let cached_tokens = count(usage, "cache_read_input_tokens")?;
    let written = count(usage, "cache_creation_input_tokens")?;
    Ok(Call {
        id: text(payload, "id")?,
        model: text(payload, "model")?,
        time_ms: None,
        input_tokens: count(usage, "input_tokens")?.saturating_add(cached_tokens).saturating_add(written),
        output_tokens: count(usage, "output_tokens")?,
        cached_tokens,
    })
}

/// LiteLLM's StandardLoggingPayload.
fn litellm(payload: &Value) -> Result<Option<Call>, Unusable> {
    let (input_tokens, output_tokens) = (count(payload, "prompt_tokens")?, count(payload, "completion_tokens")?);
    if (input_tokens, output_tokens) == (0, 0) {
        return Ok(None);
    }
    let usage = &payload["metadata"]["usage_object"];
    let cached = count(&usage["prompt_tokens_details"], "cached_tokens")?;
    Ok(Some(Call {
        id: text(payload, "id")?,
        model: text(payload, "model")?,
        time_ms: seconds_ms(&payload["endTime"]),
        input_tokens,
        output_tokens,
        cached_tokens: cached.max(count(usage, "cache_read_input_tokens")?),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn call(id: &str, model: &str, time_ms: Option<i64>, tokens: [u64; 3]) -> Call {
        let [input_tokens, output_tokens, cached_tokens] = tokens;
        Call { id: id.into(), model: model.into(), time_ms, input_tokens, output_tokens, cached_tokens }
    }

    #[test]
    fn openai_in_both_forms() {
        let chat = json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 1_741_569_952, "model": "gpt-5",
            "choices": [], "usage": {"prompt_tokens": 19, "completion_tokens": 10, "total_tokens": 29,
                "prompt_tokens_details": {"cached_tokens": 5, "audio_tokens": 0}}});
        assert_eq!(
            read(Dialect::Openai, &chat),
            Ok(Some(call("chatcmpl-1", "gpt-5", Some(1_741_569_952_000), [19, 10, 5])))
        );
        let response = json!({"id": "resp_1", "object": "response", "created_at": 1_741_476_777, "model": "gpt-5",
            "usage": {"input_tokens": 328, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 52}});
        assert_eq!(
            read(Dialect::Openai, &response),
            Ok(Some(call("resp_1", "gpt-5", Some(1_741_476_777_000), [328, 52, 0])))
        );
    }

    #[test]
    fn anthropic_counts_the_cache_apart() {
        let message = json!({"id": "msg_1", "type": "message", "model": "claude-x", "usage": {"input_tokens": 10,
            "cache_creation_input_tokens": 100, "cache_read_input_tokens": 1_000, "output_tokens": 7}});
        assert_eq!(read(Dialect::Anthropic, &message), Ok(Some(call("msg_1", "claude-x", None, [1_110, 7, 1_000]))));
    }

    #[test]
    fn litellm_leaves_out_what_used_nothing() {
        let payload = json!({"id": "chatcmpl-2", "model": "gpt-5", "status": "success", "startTime": 1_741_569_952.25,
            "endTime": 1_741_569_953.5, "prompt_tokens": 12, "completion_tokens": 3.0, "response_cost": 0.1,
            "metadata": {"usage_object": {"prompt_tokens_details": {"cached_tokens": 4}}}});
        assert_eq!(
            read(Dialect::Litellm, &payload),
            Ok(Some(call("chatcmpl-2", "gpt-5", Some(1_741_569_953_500), [12, 3, 4])))
        );
        let failed = json!({"id": "x", "model": "m", "status": "failure", "prompt_tokens": 0, "completion_tokens": 0});
        assert_eq!(read(Dialect::Litellm, &failed), Ok(None));
    }

    #[test]
    fn what_is_missing_is_named() {
        let field = |dialect, payload: Value| read(dialect, &payload).unwrap_err().field;
        assert_eq!(field(Dialect::Openai, json!({"id": "x", "model": "m"})), "usage");
        assert_eq!(field(Dialect::Openai, json!({"model": "m", "usage": {}})), "id");
        assert_eq!(
            field(Dialect::Anthropic, json!({"id": "x", "model": "m", "usage": {"output_tokens": -1}})),
            "output_tokens"
        );
        assert_eq!(field(Dialect::Litellm, json!({"id": "x", "prompt_tokens": "many"})), "prompt_tokens");
        assert_eq!(field(Dialect::Openai, json!("nonsense")), "usage");
    }
}
