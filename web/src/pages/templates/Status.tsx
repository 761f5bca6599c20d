import type { Schemas } from "../../api/client";

const shown: Record<string, [className: string, text: string]> = {
  ready: ["state ok", "Ready"],
  building: ["state busy", "Building"],
  waiting: ["state busy", "Waiting"],
  error: ["state bad", "Failed"],
};

export function BuildStatus({ status }: { status: Schemas["TemplateBuildStatus"] | undefined }) {
  const [className, text] = shown[status ?? ""] ?? ["state", status ?? "none"];
  return <span className={className}>{text}</span>;
}
