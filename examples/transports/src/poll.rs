//! Polling: ask again and again. Each question is a whole request, and most answers are "nothing".

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

/// Who asks, and for what.
#[derive(Deserialize)]
pub struct Asked {
    client: ClientId,
    #[serde(default)]
    since: u64,
}

/// `GET /poll`: what came since, at once.
pub async fn poll(
    State((room, counts)): State<(Arc<Room>, Arc<Counts>)>,
    Query(asked): Query<Asked>,
    request: axum::extract::Request,
) -> Response {
    let (head, _) = request.into_parts();
    let head = counts.request(&asked.client, &head);
    let missed = room.since(asked.since);
    let body = serde_json::to_string(&missed).expect("numbers and texts are JSON");
    counts.told(&asked.client, missed.messages.len(), body.len());
    let headers = [
        ("content-type", "application/json".to_owned()),
        ("x-head-bytes", head.to_string()),
    ];
    (headers, body).into_response()
}

/// `GET /stats`: what the server has counted.
pub async fn stats(
    State((_, counts)): State<(Arc<Room>, Arc<Counts>)>,
    Query(asked): Query<Asked>,
) -> Json<crate::count::Count> {
    Json(counts.of(&asked.client))
}
