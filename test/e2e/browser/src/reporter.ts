// A reporter for node:test that prints one JSON object a line, for the Go test
// that runs it: {"event":"start"|"pass"|"fail"|"skip","name":…}.
import type { TestEvent } from "node:test/reporters";
import { inspect } from "node:util";

interface Line {
  event: "start" | "pass" | "fail" | "skip";
  name: string;
  error?: string;
}

export default async function* report(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  for await (const event of source) {
    const line = describe(event);
    if (line) yield JSON.stringify(line) + "\n";
  }
}

function describe(event: TestEvent): Line | undefined {
  switch (event.type) {
    // test:start would come only once the test has ended.
    case "test:dequeue":
      return { event: "start", name: event.data.name };
    case "test:pass":
      return { event: event.data.skip === undefined ? "pass" : "skip", name: event.data.name };
    case "test:fail": {
      const { error } = event.data.details;
      return { event: "fail", name: event.data.name, error: inspect(error.cause ?? error) };
    }
    default:
      return undefined;
  }
}
