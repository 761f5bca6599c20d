import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api, ok, type Schemas } from "../../api/client";
import { useSession } from "../../app/session";
import { Area, Check, Choice, Field } from "../../ui/controls";
import { Dialog } from "../../ui/dialog";

interface CreateProps {
  template?: string;
  onClose: () => void;
  onCreated: (sandboxID: string) => Promise<void>;
}

/** Reads lines such as NAME=value. */
export function pairs(text: string, what: string): Record<string, string> {
  const read: Record<string, string> = {};
  for (const line of text.split("\n")) {
    if (line.trim() === "") continue;
    const equals = line.indexOf("=");
    if (equals < 1) throw new Error(`${what}: "${line}" must be a name, an equals sign and a value.`);
    read[line.slice(0, equals).trim()] = line.slice(equals + 1);
  }
  return read;
}

export function lines(text: string): string[] {
  return text
    .split(/[\n,]/)
    .map((line) => line.trim())
    .filter((line) => line !== "");
}

const times: [string, string][] = [
  ["300", "5 minutes"],
  ["900", "15 minutes"],
  ["3600", "1 hour"],
  ["28800", "8 hours"],
  ["86400", "1 day"],
];

export function CreateSandbox({ template, onClose, onCreated }: CreateProps) {
  const { may, team } = useSession();
  const templates = useQuery({
    queryKey: ["templates", team.teamID, "names"],
    queryFn: () => ok(api.GET("/v2/templates", { params: { query: { limit: 100 } } })),
  });
  const defaults = useQuery({
    queryKey: ["templates", team.teamID, "defaults"],
    queryFn: () => ok(api.GET("/default-templates")),
  });
  const volumes = useQuery({
    queryKey: ["volumes", team.teamID],
    queryFn: () => ok(api.GET("/volumes")),
    enabled: may("volume:read"),
  });
  const [templateID, setTemplateID] = useState(template ?? "base");
  const [timeout, setTimeoutSeconds] = useState("900");
  const [autoPause, setAutoPause] = useState(true);
  const [autoResume, setAutoResume] = useState(false);
  const [envs, setEnvs] = useState("");
  const [metadata, setMetadata] = useState("");
  const [internet, setInternet] = useState(true);
  const [isPublic, setPublic] = useState(true);
  const [allowOut, setAllowOut] = useState("");
  const [denyOut, setDenyOut] = useState("");
  const [mounts, setMounts] = useState("");

  async function create() {
    const body: Schemas["NewSandbox"] = {
      templateID,
      timeout: Number(timeout),
      autoPause,
      autoPauseMemory: true,
      autoResume: { enabled: autoPause && autoResume },
      secure: true,
      allow_internet_access: internet ? undefined : false,
      envVars: pairs(envs, "Environment"),
      metadata: pairs(metadata, "Metadata"),
      network: {
        allowPublicTraffic: isPublic,
        allowOut: allowOut.trim() === "" ? undefined : lines(allowOut),
        denyOut: denyOut.trim() === "" ? undefined : lines(denyOut),
      },
    };
    const mounted = Object.entries(pairs(mounts, "Volumes")).map(([name, path]) => ({ name, path }));
    if (mounted.length > 0) body.volumeMounts = mounted;
    const made = await ok(api.POST("/v2/sandboxes", { body }));
    await onCreated(made.sandboxID);
  }

  const names = [...(templates.data ?? []), ...(defaults.data ?? [])].flatMap((one) => one.names[0] ?? one.templateID);
  return (
    <Dialog title="Create sandbox" submit="Create" onClose={onClose} onSubmit={create}>
      <div className="columns">
        <Field
          label="Template or snapshot"
          required
          list="template-names"
          value={templateID}
          onChange={(event) => setTemplateID(event.target.value)}
          hint="A name, a name with a tag, or an ID. It decides about CPUs, memory and disk."
        />
        <datalist id="template-names">
          {[...new Set(["base", ...names])].map((name) => (
            <option key={name} value={name} />
          ))}
        </datalist>
        <Choice label="Time to live" value={timeout} options={times} onChange={setTimeoutSeconds} />
      </div>
      <Check checked={autoPause} onChange={setAutoPause}>
        Pause it, and do not kill it, when its time is over
      </Check>
      <Check checked={autoPause && autoResume} disabled={!autoPause} onChange={setAutoResume}>
        Resume it when a request comes for it
      </Check>
      <details>
        <summary>Environment and metadata</summary>
        <div className="columns">
          <Area label="Environment" mono rows={3} value={envs} onChange={setEnvs} placeholder="NAME=value" />
          <Area
            label="Metadata"
            mono
            rows={3}
            value={metadata}
            onChange={setMetadata}
            placeholder="user=abc"
            hint="To find it by."
          />
        </div>
      </details>
      <details>
        <summary>Network</summary>
        <div className="stack">
          <Check checked={isPublic} onChange={setPublic}>
            Its ports are open to whoever knows their address
          </Check>
          <Check checked={internet} onChange={setInternet}>
            It may reach the internet
          </Check>
          <div className="columns">
            <Area
              label="May connect to"
              mono
              rows={3}
              value={allowOut}
              onChange={setAllowOut}
              placeholder="*.example.com"
              hint="Domains, addresses and CIDR blocks; goes before the other list."
            />
            <Area
              label="May not connect to"
              mono
              rows={3}
              value={denyOut}
              onChange={setDenyOut}
              placeholder="0.0.0.0/0"
              hint="Addresses and CIDR blocks."
            />
          </div>
        </div>
      </details>
      <details>
        <summary>Volumes</summary>
        <Area
          label="Mounts"
          mono
          rows={2}
          value={mounts}
          onChange={setMounts}
          placeholder="name=/path/in/the/sandbox"
          hint={
            (volumes.data ?? []).length > 0
              ? `Volumes of the team: ${(volumes.data ?? []).map((one) => one.name).join(", ")}.`
              : "The team has no volumes."
          }
        />
      </details>
    </Dialog>
  );
}
