//! Polling: the client asks at intervals. Each poll is a whole request, and most responses are
//! empty.

use crate::{
    count::{ClientId, Counts},
    room::Room,
};
use axum::{
    Json,
    extract::{Query, State},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use std::sync::Arc;

/// The query parameters of a poll.
#[derive(Deserialize)]
pub struct Asked {
    client: ClientId,
    #[serde(default)]
    since: u64,
}

/// Handles `GET /poll`: responds at once with the messages after `since`.
pub async fn poll(
    State((room, counts)): State<(Arc<Room>, Arc<Counts>)>,
    Query(asked): Query<Asked>,
    request: axum::extract::Request,
) -> Response {
    let (head, _) = request.into_parts();
    let head = counts.request(&asked.client, &head);
    let missed = room.since(asked.since);
    let body = serde_json::to_string(&missed).expect("numbers and texts are JSON");
    counts.record(&asked.client, missed.messages.len(), body.len());
    let headers = [
        ("content-type", "application/json".to_owned()),
        ("x-head-bytes", head.to_string()),
    ];
    (headers, body).into_response()
}

/// Handles `GET /stats`: responds with the server's counts for the client.
pub async fn stats(
    State((_, counts)): State<(Arc<Room>, Arc<Counts>)>,
    Query(asked): Query<Asked>,
) -> Json<crate::count::Count> {
    Json(counts.of(&asked.client))
}
