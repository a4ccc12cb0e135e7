/** One server-sent event. */
export interface StreamEvent {
  readonly name: string;
  readonly data: string;
}

/**
 * Returns a function that takes the next piece of an event stream (WHATWG HTML, 9.2.6), and calls
 * `dispatch` for each event that it completes. Ids and `retry` are ignored: topics have their own.
 */
export function eventStream(dispatch: (event: StreamEvent) => void): (piece: string) => void {
  let rest = "";
  let name = "message";
  let data: string[] = [];
  return (piece) => {
    // A CR at the end may be the first half of a CRLF: it waits for the next piece.
    const lines = (rest + piece).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop()!;
    for (const line of lines) {
      const [, field, value] = /^([^:]*):? ?(.*)$/s.exec(line)!;
      if (line === "") {
        const event = data.length && { name, data: data.join("\n") };
        name = "message";
        data = [];
        if (event) dispatch(event);
      } else if (field === "data") data.push(value!);
      else if (field === "event") name = value!;
    }
  };
}
