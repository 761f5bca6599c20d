import { EventList } from "../events/EventList";
import { useSandbox } from "./Sandbox";

export function SandboxEvents() {
  const sandbox = useSandbox().data;
  return sandbox === undefined ? null : <EventList sandboxID={sandbox.sandboxID} />;
}
