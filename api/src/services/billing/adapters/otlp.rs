//! OpenTelemetry's `gen_ai.client.token.usage` (semantic conventions for generative AI metrics) in an OTLP export. Only what is
//! needed of opentelemetry-proto's messages is read; the numbers of fields are theirs.

use prost::Message;
use serde_json::Value;

use super::{Call, Unusable};

const METRIC: &str = "gen_ai.client.token.usage";
/// AGGREGATION_TEMPORALITY_DELTA
const DELTA: i32 = 1;

#[derive(Clone, PartialEq, Message)]
pub(super) struct Export {
    #[prost(message, repeated, tag = "1")]
    resource_metrics: Vec<ResourceMetrics>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceMetrics {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scope_metrics: Vec<ScopeMetrics>,
}

#[derive(Clone, PartialEq, Message)]
struct Resource {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeMetrics {
    #[prost(message, repeated, tag = "2")]
    metrics: Vec<Metric>,
}

#[derive(Clone, PartialEq, Message)]
struct Metric {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "7")]
    sum: Option<Points>,
    #[prost(message, optional, tag = "9")]
    histogram: Option<Points>,
}

/// A Sum or a Histogram: they are numbered alike.
#[derive(Clone, PartialEq, Message)]
struct Points {
    #[prost(message, repeated, tag = "1")]
    points: Vec<Point>,
    #[prost(int32, tag = "2")]
    temporality: i32,
}

/// A NumberDataPoint or a HistogramDataPoint.
#[derive(Clone, PartialEq, Message)]
struct Point {
    #[prost(fixed64, tag = "2")]
    start_ns: u64,
    #[prost(fixed64, tag = "3")]
    time_ns: u64,
    /// `as_double` of a number, `count` of a histogram: the eight bytes of either.
    #[prost(fixed64, optional, tag = "4")]
    double_bits_or_count: Option<u64>,
    /// The sum of a histogram.
    #[prost(double, optional, tag = "5")]
    sum: Option<f64>,
    #[prost(sfixed64, optional, tag = "6")]
    as_int: Option<i64>,
    #[prost(message, repeated, tag = "7")]
    number_attributes: Vec<KeyValue>,
    #[prost(message, repeated, tag = "9")]
    histogram_attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct AnyValue {
    #[prost(string, optional, tag = "1")]
    string: Option<String>,
}

/// Reads an export as protobuf.
pub(super) fn of_protobuf(bytes: &[u8]) -> Result<Export, String> {
    Export::decode(bytes).map_err(|error| format!("the body is no ExportMetricsServiceRequest: {error}"))
}

/// Reads an export as OTLP's JSON.
pub(super) fn of_json(bytes: &[u8]) -> Result<Export, String> {
    let value: Value = serde_json::from_slice(bytes).map_err(|error| format!("the body is no JSON: {error}"))?;
    let list = |of: &Value, field: &str| of[field].as_array().cloned().unwrap_or_default();
    let attributes = |of: &Value| -> Vec<KeyValue> {
        let attribute = |kv: &Value| KeyValue {
            key: kv["key"].as_str().unwrap_or_default().to_owned(),
            value: Some(AnyValue { string: kv["value"]["stringValue"].as_str().map(str::to_owned) }),
        };
        list(of, "attributes").iter().map(attribute).collect()
    };
    // Numbers of 64 bits are texts there, or numbers.
    let number = |of: &Value| of.as_u64().or_else(|| of.as_str()?.parse().ok());
    let points = |of: &Value, is_sum: bool| -> Option<Points> {
        let point = |point: &Value| {
            let (number_attributes, histogram_attributes) = match is_sum {
                true => (attributes(point), Vec::new()),
                false => (Vec::new(), attributes(point)),
            };
            Point {
                start_ns: number(&point["startTimeUnixNano"]).unwrap_or(0),
                time_ns: number(&point["timeUnixNano"]).unwrap_or(0),
                double_bits_or_count: point["asDouble"].as_f64().map(f64::to_bits),
                sum: point["sum"].as_f64(),
                as_int: number(&point["asInt"]).and_then(|n| i64::try_from(n).ok()),
                number_attributes,
                histogram_attributes,
            }
        };
        let temporality = match &of["aggregationTemporality"] {
            Value::String(name) if name == "AGGREGATION_TEMPORALITY_DELTA" => DELTA,
            other => other.as_i64().and_then(|n| i32::try_from(n).ok()).unwrap_or(0),
        };
        of.is_object().then(|| Points { points: list(of, "dataPoints").iter().map(point).collect(), temporality })
    };
    let metric = |metric: &Value| Metric {
        name: metric["name"].as_str().unwrap_or_default().to_owned(),
        sum: points(&metric["sum"], true),
        histogram: points(&metric["histogram"], false),
    };
    let scope = |scope: &Value| ScopeMetrics { metrics: list(scope, "metrics").iter().map(metric).collect() };
    let resource = |of: &Value| ResourceMetrics {
        resource: Some(Resource { attributes: attributes(&of["resource"]) }),
        scope_metrics: list(of, "scopeMetrics").iter().map(scope).collect(),
    };
    Ok(Export { resource_metrics: list(&value, "resourceMetrics").iter().map(resource).collect() })
}

/// What was used in each data point.
pub(super) fn calls(export: &Export) -> Result<Vec<Call>, Unusable> {
    let mut calls = Vec::new();
    for of_resource in &export.resource_metrics {
        let resource = of_resource.resource.as_ref().map_or(&[][..], |resource| &resource.attributes);
        for metric in of_resource.scope_metrics.iter().flat_map(|scope| &scope.metrics) {
            if metric.name != METRIC {
                continue;
            }
            for (points, is_sum) in [(&metric.sum, true), (&metric.histogram, false)] {
                let Some(points) = points else { continue };
                if points.temporality != DELTA {
                    let why = "is cumulative, and restarts of the exporter would be guessed at: set \
                         OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=delta";
                    return Err(Unusable::new("aggregationTemporality", why));
                }
                for point in &points.points {
                    calls.push(call(resource, point, is_sum)?);
                }
            }
        }
    }
    Ok(calls)
}

fn call(resource: &[KeyValue], point: &Point, is_sum: bool) -> Result<Call, Unusable> {
    let own = if is_sum { &point.number_attributes } else { &point.histogram_attributes };
    let attribute = |name: &str| {
        let found = own.iter().find(|kv| kv.key == name)?;
        found.value.as_ref()?.string.as_deref().filter(|text| !text.is_empty())
    };
    let tokens = match is_sum {
        true => point.as_int.map(|n| n as f64).or(point.double_bits_or_count.map(f64::from_bits)),
        false => point.sum,
    };
    let tokens = tokens.filter(|n| *n >= 0.0 && *n < 9e15);
    let tokens =
        tokens.ok_or_else(|| Unusable::new("dataPoints", "has a point without a sum of tokens"))?.round() as u64;
    let model = attribute("gen_ai.response.model").or_else(|| attribute("gen_ai.request.model"));
    let model = model.ok_or_else(|| Unusable::new("gen_ai.request.model", "is missing"))?.to_owned();
    let (input_tokens, output_tokens) = match attribute("gen_ai.token.type") {
        Some("input") => (tokens, 0),
        Some("output" | "completion") => (0, tokens),
        other => {
            let found = other.unwrap_or("nothing");
            return Err(Unusable::new("gen_ai.token.type", format!("is {found}, expected input or output")));
        }
    };
    // The same point of the same exporter, however often it is exported.
    let mut hash = blake3::Hasher::new();
    for kv in resource.iter().chain(own) {
        let value = kv.value.as_ref().and_then(|value| value.string.as_deref()).unwrap_or_default();
        for part in [kv.key.as_bytes(), value.as_bytes()] {
            hash.update(&(part.len() as u64).to_le_bytes());
            hash.update(part);
        }
    }
    hash.update(&point.start_ns.to_le_bytes());
    hash.update(&point.time_ns.to_le_bytes());
    let time_ms = (point.time_ns > 0).then(|| i64::try_from(point.time_ns / 1_000_000).unwrap_or(i64::MAX));
    let id = hash.finalize().to_hex()[..32].to_owned();
    Ok(Call { id, model, time_ms, input_tokens, output_tokens, cached_tokens: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn export(kind: &str, temporality: i64) -> Value {
        let attribute = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
        let point = |of: &str, tokens: f64| {
            json!({"attributes": [attribute("gen_ai.token.type", of), attribute("gen_ai.request.model", "gpt-5")],
                "startTimeUnixNano": "1741569950000000000", "timeUnixNano": "1741569952000000000", "count": "2", "sum": tokens})
        };
        json!({"resourceMetrics": [{"resource": {"attributes": [attribute("service.instance.id", "a")]},
            "scopeMetrics": [{"metrics": [
                {"name": "http.client.duration", "histogram": {"dataPoints": [{}], "aggregationTemporality": 2}},
                {"name": METRIC, kind: {"dataPoints": [point("input", 30.0), point("output", 7.0)],
                    "aggregationTemporality": temporality}}]}]}]})
    }

    #[test]
    fn both_encodings_say_the_same() {
        let json = of_json(export("histogram", 1).to_string().as_bytes()).expect("JSON");
        let calls_of_json = calls(&json).expect("usable");
        let told: Vec<_> = calls_of_json.iter().map(|c| (c.model.as_str(), c.input_tokens, c.output_tokens)).collect();
        assert_eq!(told, [("gpt-5", 30, 0), ("gpt-5", 0, 7)]);
        assert_eq!(calls_of_json[0].time_ms, Some(1_741_569_952_000));
        assert_ne!(calls_of_json[0].id, calls_of_json[1].id);
        let protobuf = of_protobuf(&json.encode_to_vec()).expect("protobuf");
        assert_eq!(calls(&protobuf), Ok(calls_of_json));
    }

    #[test]
    fn what_cannot_be_counted_is_refused() {
        let cumulative = of_json(export("histogram", 2).to_string().as_bytes()).expect("JSON");
        assert_eq!(calls(&cumulative).unwrap_err().field, "aggregationTemporality");
        // A sum has no `sum`.
        let wrong = of_json(export("sum", 1).to_string().as_bytes()).expect("JSON");
        assert_eq!(calls(&wrong).unwrap_err().field, "dataPoints");
        assert!(of_json(b"[").is_err() && of_protobuf(b"\x0a\xff").is_err());
        assert_eq!(calls(&of_json(b"{}").expect("JSON")), Ok(Vec::new()));
    }
}
