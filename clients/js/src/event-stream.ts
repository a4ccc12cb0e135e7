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
  /** The unfinished line. It is only appended to: searching it would join its pieces each time. */
  let rest = "";
  let endsInCr = false;
  let name = "message";
  let data: string[] = [];
  return (piece) => {
    // A LF after a CR at the end of the previous piece belongs to the same line end.
    const text = endsInCr ? piece.replace(/^\n/, "") : piece;
    if (piece) endsInCr = piece.endsWith("\r");
    const lines = text.split(/\r\n?|\n/);
    lines[0] = rest + lines[0];
    rest = lines.pop()!;
    for (const line of lines) {
      const [, field, value] = /^([^:]*):? ?(.*)$/s.exec(line)!;
      if (line === "") {
        const event = data.length && { name, data: data.join("\n") };
        name = "message";
        data = [];
        if (event) dispatch(event);
      } else if (field === "data") data.push(value!);
      else if (field === "event") name = value || "message";
    }
  };
}
