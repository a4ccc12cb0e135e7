use super::*;

const ROOM_FOR_TWO: usize = 2;

fn bounds(policy: SlowClient) -> Bounds {
    Bounds {
        bytes: usize::MAX,
        messages: ROOM_FOR_TWO,
        policy,
        is_awaited: false,
    }
}

fn offer(
    queue: &mut SendQueue,
    text: &str,
    importance: Importance,
    policy: SlowClient,
) -> Option<Sent> {
    match queue.offer(
        Outbound::Plain(Message::text(text)),
        importance,
        bounds(policy),
    ) {
        Offer::Done(sent) => Some(sent),
        Offer::Full(..) | Offer::Close => None,
    }
}

fn drain(mut queue: SendQueue) -> Vec<String> {
    let mut texts = Vec::new();
    while let Some(message) = queue.pop() {
        texts.push(String::from_utf8(message.payload().to_vec()).unwrap());
    }
    assert_eq!(queue.bytes, 0);
    texts
}

const WAIT: SlowClient = SlowClient::Wait(Duration::from_secs(1));

#[test]
fn each_policy_decides_about_the_third_message_of_two() {
    for (policy, expected, left, drops) in [
        (WAIT, None, ["1", "2"], [0; 4]),
        (SlowClient::Close, None, ["1", "2"], [0; 4]),
        (
            SlowClient::DropOldest,
            Some(Sent::Queued),
            ["2", "3"],
            [1, 0, 0, 0],
        ),
        (
            SlowClient::DropNewest,
            Some(Sent::Dropped),
            ["1", "2"],
            [0, 1, 0, 0],
        ),
    ] {
        let mut queue = SendQueue::default();
        for text in ["1", "2"] {
            let sent = offer(&mut queue, text, Importance::Normal, policy);
            assert_eq!(sent, Some(Sent::Queued));
        }

        let sent = offer(&mut queue, "3", Importance::Normal, policy);

        assert_eq!(sent, expected, "{policy:?}");
        assert_eq!(queue.drops(), drops, "{policy:?}");
        assert_eq!(drain(queue), left, "{policy:?}");
    }
}

#[test]
fn room_for_which_others_wait_goes_to_no_newer_message() {
    let mut queue = SendQueue::default();
    _ = offer(&mut queue, "price 1", Importance::Latest(7), WAIT);
    let mut offer = |importance| {
        let bounds = Bounds {
            is_awaited: true,
            ..bounds(WAIT)
        };
        match queue.offer(Outbound::Plain(Message::text("new")), importance, bounds) {
            Offer::Done(sent) => Some(sent),
            Offer::Full(..) | Offer::Close => None,
        }
    };

    assert_eq!(offer(Importance::Normal), None);
    assert_eq!(offer(Importance::Volatile), Some(Sent::Dropped));
    assert_eq!(offer(Importance::Latest(8)), None);
    assert_eq!(offer(Importance::Latest(7)), Some(Sent::Replaced));
}

#[test]
fn volatile_messages_are_dropped_first() {
    for policy in [
        WAIT,
        SlowClient::Close,
        SlowClient::DropOldest,
        SlowClient::DropNewest,
    ] {
        let mut queue = SendQueue::default();
        _ = offer(&mut queue, "1", Importance::Normal, policy);
        _ = offer(&mut queue, "cursor", Importance::Volatile, policy);

        let third = offer(&mut queue, "2", Importance::Normal, policy);
        let fourth = offer(&mut queue, "cursor", Importance::Volatile, policy);

        assert_eq!(third, Some(Sent::Queued), "{policy:?}");
        assert_eq!(fourth, Some(Sent::Dropped), "{policy:?}");
        assert_eq!(queue.drops(), [0, 0, 2, 0]);
        assert_eq!(drain(queue), ["1", "2"], "{policy:?}");
    }
}

#[test]
fn the_newest_message_of_a_key_takes_the_place_of_the_older_one() {
    let mut queue = SendQueue::default();
    _ = offer(&mut queue, "price 1", Importance::Latest(7), WAIT);
    _ = offer(&mut queue, "chat", Importance::Normal, WAIT);

    let sent = offer(&mut queue, "price 2", Importance::Latest(7), WAIT);

    assert_eq!(sent, Some(Sent::Replaced));
    assert_eq!(
        offer(&mut queue, "price 1", Importance::Latest(8), WAIT),
        None
    );
    assert_eq!(drain(queue), ["price 2", "chat"]);
}

#[test]
fn newer_messages_of_many_keys_do_not_exceed_the_bound_in_bytes() {
    const KEYS: u64 = 50;
    const LARGE: usize = 4096;
    for policy in [
        WAIT,
        SlowClient::Close,
        SlowClient::DropOldest,
        SlowClient::DropNewest,
    ] {
        let mut queue = SendQueue::default();
        let bounds = Bounds {
            bytes: 2 * LARGE,
            messages: usize::MAX,
            policy,
            is_awaited: false,
        };
        let mut offer = |key, length| {
            let message = Outbound::Plain(Message::binary(vec![0; length]));
            match queue.offer(message, Importance::Latest(key), bounds) {
                Offer::Done(sent) => Some((sent, queue.bytes)),
                Offer::Full(..) | Offer::Close => None,
            }
        };
        for key in 0..KEYS {
            _ = offer(key, 0);
        }

        let replaced: Vec<_> = (0..KEYS).map(|key| offer(key, LARGE)).collect();

        assert!(
            matches!(replaced[0], Some((Sent::Replaced, _))),
            "{policy:?}"
        );
        let most = replaced.iter().flatten().map(|(_, bytes)| *bytes).max();
        let bound = 2 * LARGE + LARGE + MESSAGE_COST;
        assert!(
            most.is_some_and(|bytes| bytes <= bound),
            "{policy:?}: {most:?}"
        );
    }
}

#[test]
fn the_bound_in_bytes_counts_empty_messages_too() {
    let mut queue = SendQueue::default();
    let bounds = Bounds {
        bytes: 10 * MESSAGE_COST,
        messages: usize::MAX,
        policy: SlowClient::DropNewest,
        is_awaited: false,
    };
    for _ in 0..100 {
        _ = queue.offer(
            Outbound::Plain(Message::text("")),
            Importance::Normal,
            bounds,
        );
    }

    assert_eq!(queue.dropped(), 90);
}

#[test]
fn a_message_of_another_key_replaces_nothing() {
    let mut queue = SendQueue::default();
    _ = offer(&mut queue, "EUR 1", Importance::latest("EUR"), WAIT);

    let sent = offer(&mut queue, "USD 1", Importance::latest("USD"), WAIT);

    assert_eq!(sent, Some(Sent::Queued));
    let sent = offer(&mut queue, "EUR 2", Importance::latest("EUR"), WAIT);
    assert_eq!(sent, Some(Sent::Replaced));
    assert_eq!(drain(queue), ["EUR 2", "USD 1"]);
}

#[test]
fn a_cleared_queue_is_empty_and_has_room() {
    let mut queue = SendQueue::default();
    for text in ["1", "2"] {
        _ = offer(&mut queue, text, Importance::Normal, SlowClient::Close);
    }

    assert_eq!(queue.clear(), 2);

    assert_eq!(queue.bytes, 0);
    let sent = offer(&mut queue, "3", Importance::Normal, SlowClient::Close);
    assert_eq!(sent, Some(Sent::Queued));
    queue.count_dropped(DropReason::Newest);
    assert_eq!(queue.dropped(), 1);
    assert_eq!(drain(queue), ["3"]);
}

#[test]
fn the_memory_of_a_short_queue_is_that_of_the_next_one() {
    let fill = |queue: &mut SendQueue, messages: usize| {
        for _ in 0..messages {
            let bounds = Bounds {
                messages: usize::MAX,
                ..bounds(WAIT)
            };
            let message = Outbound::Plain(Message::text("x"));
            _ = queue.offer(message, Importance::Normal, bounds);
        }
    };
    let (mut first, mut second) = (SendQueue::default(), SendQueue::default());
    fill(&mut first, 20);
    while first.pop().is_some() {}
    assert_eq!(first.messages.capacity(), 0);

    fill(&mut second, 2);

    let capacity = second.messages.capacity();
    assert!((20..=SPARE_MESSAGES).contains(&capacity), "{capacity}");
}

#[test]
fn an_empty_queue_keeps_no_memory_of_its_peak() {
    let mut queue = SendQueue::default();
    let bounds = Bounds {
        messages: usize::MAX,
        ..bounds(WAIT)
    };
    let offer = |queue: &mut SendQueue| {
        let message = Outbound::Plain(Message::text("x"));
        _ = queue.offer(message, Importance::Normal, bounds);
    };
    offer(&mut queue);
    assert_eq!(queue.messages.capacity(), 1);
    for _ in 0..100 {
        offer(&mut queue);
    }

    while queue.pop().is_some() {}

    assert_eq!(queue.messages.capacity(), 0);
}

#[test]
fn a_message_replaces_the_older_one_of_its_key_once_volatile_messages_made_room() {
    let mut queue = SendQueue::default();
    let volatile = "x".repeat(1000);
    let bounds = Bounds {
        bytes: volatile.len() + MESSAGE_COST,
        messages: usize::MAX,
        policy: WAIT,
        is_awaited: false,
    };
    let mut offer = |text: &str, importance| match queue.offer(
        Outbound::Plain(Message::text(text)),
        importance,
        bounds,
    ) {
        Offer::Done(sent) => Some(sent),
        Offer::Full(..) | Offer::Close => None,
    };
    _ = offer("price 9", Importance::Latest(7));
    _ = offer(&volatile, Importance::Volatile);

    let sent = offer("price 10", Importance::Latest(7));

    assert_eq!(sent, Some(Sent::Replaced));
    assert_eq!(queue.drops(), [0, 0, 1, 1]);
    assert_eq!(drain(queue), ["price 10"]);
}
