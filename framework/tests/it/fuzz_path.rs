//! The router for any routes and any path, against a matcher that tries one route after another.

use http::{Request, Response, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use proptest::{collection::vec, prelude::*, sample::select};
use seaway::{
    Application, ApplicationExt, Scope, application_fn,
    protocol::{Body, Exchange, Http},
    routing::PathRouter,
    testing::HttpCommunicator,
};
use std::ptr;

/// A segment of a route. The order is that of precedence.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    /// This text, decoded.
    Literal(&'static str),
    Parameter,
    /// The last one only: what follows, which is not empty.
    CatchAll,
}

use Segment::{CatchAll, Literal, Parameter};

/// The routes of a router, and the routers nested in it.
#[derive(Clone, Debug)]
struct Routes {
    routes: Vec<Vec<Segment>>,
    nested: Vec<(Vec<Segment>, Routes)>,
}

/// A route without a conflict, in the tree of a router.
enum Route {
    Page(usize, Vec<Segment>),
    Nest(Vec<Segment>, Vec<Route>),
}

/// The text of a route from a segment of this depth on. Parameters are named by their depth.
fn text(route: &[Segment], depth: usize) -> String {
    let segment = |(index, segment): (usize, &Segment)| match segment {
        Literal(literal) => format!("/{}", utf8_percent_encode(literal, NON_ALPHANUMERIC)),
        Parameter => format!("/{{p{}}}", depth + index),
        CatchAll => format!("/{{*p{}}}", depth + index),
    };
    route.iter().enumerate().map(segment).collect()
}

/// Responds with the number of the route and the parameters.
fn page(number: usize) -> impl Application<Http> {
    application_fn(move |scope: Scope<Http>, exchange: Exchange| async move {
        let params: Vec<_> = scope.params().collect();
        let text = format!("{number} {params:?}");
        Ok(exchange.respond(Response::new(Body::from(text))).await?)
    })
}

/// Returns whether a router cannot have both routes.
fn conflict(one: &[Segment], other: &[Segment]) -> bool {
    let difference = one.iter().zip(other).find(|(one, other)| one != other);
    match difference {
        Some(pair) => matches!(pair, (Parameter, CatchAll) | (CatchAll, Parameter)),
        None => one.len() == other.len(),
    }
}

/// Builds the router, and the list of its routes without those that are there already.
fn build(routes: &Routes, depth: usize, count: &mut usize) -> (PathRouter<Http>, Vec<Route>) {
    let mut router = PathRouter::new();
    let mut list = Vec::new();
    let mut known: Vec<Vec<Segment>> = Vec::new();
    for route in &routes.routes {
        if !known.iter().any(|other| conflict(route, other)) {
            known.push(route.clone());
            *count += 1;
            router = router.route(&text(route, depth), page(*count));
            list.push(Route::Page(*count, route.clone()));
        }
    }
    for (prefix, inner) in &routes.nested {
        let with = |last| [&prefix[..], &[last]].concat();
        let paths = [prefix.clone(), with(Literal("")), with(CatchAll)];
        let is_new = |path: &Vec<Segment>| !known.iter().any(|other| conflict(path, other));
        if paths.iter().all(is_new) {
            known.extend(paths);
            let (inner, below) = build(inner, depth + prefix.len(), count);
            router = router.nest(&text(prefix, depth), inner);
            list.push(Route::Nest(prefix.clone(), below));
        }
    }
    (router, list)
}

/// Returns the parameters of a path that matches a route.
fn matched(route: &[Segment], path: &[String], depth: usize) -> Option<Vec<(String, String)>> {
    let mut params = Vec::new();
    for (index, segment) in route.iter().enumerate() {
        let rest = path.get(index..)?;
        let name = || format!("p{}", depth + index);
        match segment {
            CatchAll if rest.concat().is_empty() && rest.len() < 2 => return None,
            CatchAll => {
                params.push((name(), rest.join("/")));
                return Some(params);
            }
            Literal(literal) => {
                rest.first().filter(|first| first == literal)?;
            }
            // The last segment of a path is empty if the path ends in a slash.
            Parameter => {
                let value = rest
                    .first()
                    .filter(|first| !first.is_empty() || rest.len() > 1)?;
                params.push((name(), value.clone()));
            }
        }
    }
    (route.len() == path.len()).then_some(params)
}

/// Returns the most specific route of a path, with its segments.
fn best<'a>(list: &'a [Route], path: &[String], depth: usize) -> Option<(Vec<Segment>, &'a Route)> {
    let candidates = list.iter().flat_map(|route| match route {
        Route::Page(_, segments) => vec![(segments.clone(), route)],
        Route::Nest(prefix, _) => [None, Some(Literal("")), Some(CatchAll)]
            .into_iter()
            .map(|last| (prefix.iter().cloned().chain(last).collect(), route))
            .collect(),
    });
    let matching = candidates.filter(|(segments, _)| matched(segments, path, depth).is_some());
    matching.min_by(|(one, _), (other, _)| one.cmp(other))
}

/// Returns the number of the route of a path, and its parameters. A route of paths of any length has
/// none that is the path of another route to a server that decodes `%2F`: that one reads `behind`.
fn find(
    list: &[Route],
    path: &[String],
    behind: &[String],
    depth: usize,
) -> Option<(usize, Vec<(String, String)>)> {
    let (segments, route) = best(list, path, depth)?;
    let other = best(list, behind, depth).map(|(_, other)| other);
    let is_bypassed = || other.is_some_and(|other| !ptr::eq(route, other));
    let no_empty =
        |params: &Vec<(String, String)>| params.iter().all(|(_, value)| !value.is_empty());
    match route {
        Route::Page(..) if segments.ends_with(&[CatchAll]) && is_bypassed() => None,
        Route::Page(number, segments) => {
            Some((*number, matched(segments, path, depth).filter(no_empty)?))
        }
        Route::Nest(..) if is_bypassed() => None,
        Route::Nest(prefix, below) => {
            let (outer, rest) = path.split_at(prefix.len());
            let rest = or_root(rest);
            let behind = match other {
                Some(_) => or_root(&behind[prefix.len()..]),
                None => read_behind(&rest),
            };
            let mut params = matched(prefix, outer, depth).filter(no_empty)?;
            let (number, inner) = find(below, &rest, &behind, depth + prefix.len())?;
            params.extend(inner);
            Some((number, params))
        }
    }
}

fn or_root(path: &[String]) -> Vec<String> {
    match path {
        [] => vec![String::new()],
        path => path.to_vec(),
    }
}

/// Returns the segments of a path to a server that decodes `%2F`.
fn read_behind(path: &[String]) -> Vec<String> {
    let segments = path.iter().flat_map(|segment| segment.split('/'));
    segments.map(String::from).collect()
}

/// Returns the decoded segments of a path; `None` if it is malformed.
fn segments(path: &str) -> Option<Vec<String>> {
    let path = path.split('?').next()?;
    let mut ends = path.split('%');
    ends.next();
    let is_byte = |text: &str| {
        let digits = text.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    if !ends.all(is_byte) {
        return None;
    }
    let decode = |segment| percent_decode_str(segment).decode_utf8().ok();
    path.strip_prefix('/')?
        .split('/')
        .map(|segment| decode(segment).map(String::from))
        .collect()
}

fn literal() -> impl Strategy<Value = Segment> {
    select(
        &[
            "a", "b", "ab", "abc", "\u{f3}", "a/b", "%", "{a}", "{", "}}", "*a",
        ][..],
    )
    .prop_map(Literal)
}

fn prefix() -> impl Strategy<Value = Vec<Segment>> {
    vec(prop_oneof![3 => literal(), 1 => Just(Parameter)], 1..3)
}

fn route() -> impl Strategy<Value = Vec<Segment>> {
    let last = prop_oneof![Just(None), Just(Some(Literal(""))), Just(Some(CatchAll))];
    (
        vec(prop_oneof![3 => literal(), 1 => Just(Parameter)], 0..4),
        last,
    )
        .prop_map(|(mut route, last)| {
            route.extend(last);
            if route.is_empty() {
                route.push(Literal(""));
            }
            route
        })
}

fn routes() -> impl Strategy<Value = Routes> {
    let leaf = vec(route(), 0..6).prop_map(|routes| Routes {
        routes,
        nested: Vec::new(),
    });
    leaf.prop_recursive(3, 12, 3, |inner| {
        let nested = vec((prefix(), inner), 0..3);
        (vec(route(), 0..6), nested).prop_map(|(routes, nested)| Routes { routes, nested })
    })
}

/// Any path: mostly of the segments that routes have, in several spellings.
fn path() -> impl Strategy<Value = String> {
    let known = select(
        &[
            "a", "%61", "b", "ab", "a%62", "abc", "\u{f3}", "%C3%B3", "%c3%b3", "a%2Fb", "a%2fb",
            "%25", "%7Ba%7D", "%7B", "%7D%7D", "*a", "%2Aa", "{a}", "",
        ][..],
    );
    let segment = prop_oneof![
        12 => known.prop_map(String::from),
        2 => ".{0,5}".prop_map(|text| utf8_percent_encode(&text, NON_ALPHANUMERIC).to_string()),
        1 => "[a-c%0-9\u{f3}.]{0,4}",
    ];
    let query = prop_oneof![4 => Just(""), 1 => Just("?x=/a/%")];
    (vec(segment, 1..5), query)
        .prop_map(|(segments, query)| format!("/{}{query}", segments.join("/")))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

    #[test]
    fn any_path_gets_the_most_specific_route_that_matches_it(
        routes in routes(),
        paths in vec(path(), 20),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (router, list) = build(&routes, 0, &mut 0);
        let app = router.boxed();
        for path in paths {
            let Ok(request) = Request::get(&path).body("") else {
                continue;
            };
            let response = runtime.block_on(HttpCommunicator::request(&app, request)).unwrap();
            let text = String::from_utf8(response.body().to_vec()).unwrap();
            let found = segments(&path)
                .and_then(|segments| find(&list, &segments, &read_behind(&segments), 0));
            match found {
                Some((number, params)) => {
                    prop_assert_eq!(text, format!("{number} {params:?}"), "{}", path);
                }
                None => prop_assert_eq!(response.status(), StatusCode::NOT_FOUND, "{}: {}", path, text),
            }
        }
    }
}
