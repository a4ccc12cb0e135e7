// The badge on the link to the list of rooms: the unread count of the other rooms.

import { $ } from "./page.js";
import { countsOf, startFeed } from "./rooms-feed.js";
import { UnreadCounts } from "./unread-counts.js";

export function startElsewhere(here, you) {
  const counts = new UnreadCounts();
  const show = () => {
    const total = counts.total(here);
    $("elsewhere").hidden = total === 0;
    $("elsewhere").firstElementChild.textContent = total > 99 ? "99+" : total;
  };
  startFeed({
    onState: () => {},
    onFrame: (frame) => {
      if (frame.type === "rooms.active") counts.active(frame, you);
      if (frame.type === "rooms.seen") counts.seen(frame);
      show();
    },
    onList: (items) => {
      for (const item of items) counts.take(...countsOf(item));
      show();
    },
  });
}
