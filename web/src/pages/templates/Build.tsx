import { useState } from "react";
import { api, ok, type Schemas } from "../../api/client";
import { Area, Choice, Field } from "../../ui/controls";
import { Dialog } from "../../ui/dialog";

interface BuildProps {
  name?: string;
  onClose: () => void;
  onStarted: (templateID: string, buildID: string) => Promise<void>;
}

type Source = "image" | "dockerfile" | "template";

const firstDockerfile = "FROM python:3.12-slim\nRUN pip install numpy\nWORKDIR /home/user\n";

/** Asks for what a template is built from, and starts the build. */
export function BuildTemplate({ name: given, onClose, onStarted }: BuildProps) {
  const [name, setName] = useState(given ?? "");
  const [source, setSource] = useState<Source>("dockerfile");
  const [image, setImage] = useState("");
  const [template, setTemplate] = useState("base");
  const [dockerfile, setDockerfile] = useState(firstDockerfile);
  const [steps, setSteps] = useState("");
  const [startCmd, setStartCmd] = useState("");
  const [readyCmd, setReadyCmd] = useState("");
  const [cpuCount, setCPUCount] = useState("1");
  const [memoryMB, setMemoryMB] = useState("512");

  function what(): Schemas["TemplateBuildStartV2"] {
    const commands = {
      startCmd: startCmd.trim() === "" ? undefined : startCmd,
      readyCmd: readyCmd.trim() === "" ? undefined : readyCmd,
    };
    if (source === "dockerfile") return { dockerfile: { content: dockerfile }, ...commands };
    const run = steps
      .split("\n")
      .filter((line) => line.trim() !== "")
      .map((line) => ({ type: "RUN", args: [line] }));
    if (source === "image") return { fromImage: image, steps: run, ...commands };
    return { fromTemplate: template, steps: run, ...commands };
  }

  async function start() {
    const made = await ok(
      api.POST("/v3/templates", { body: { name, cpuCount: Number(cpuCount), memoryMB: Number(memoryMB) } }),
    );
    await ok(
      api.POST("/v2/templates/{templateID}/builds/{buildID}", {
        params: { path: { templateID: made.templateID, buildID: made.buildID } },
        body: what(),
      }),
    );
    await onStarted(made.templateID, made.buildID);
  }

  return (
    <Dialog title="Build template" submit="Start the build" onClose={onClose} onSubmit={start}>
      <div className="columns">
        <Field
          label="Name"
          required
          value={name}
          onChange={(event) => setName(event.target.value)}
          hint="name or name:tag. A name that the team has gets a new build."
        />
        <Choice
          label="From"
          value={source}
          options={[
            ["dockerfile", "a Dockerfile"],
            ["image", "an image of a registry"],
            ["template", "another template"],
          ]}
          onChange={(value) => setSource(value as Source)}
        />
      </div>
      {source === "dockerfile" && (
        <Area
          label="Dockerfile"
          mono
          rows={10}
          value={dockerfile}
          onChange={setDockerfile}
          hint="Here it cannot COPY files of yours; wrenn template build can."
        />
      )}
      {source === "image" && (
        <Field
          label="Image"
          required
          placeholder="python:3.12-slim"
          value={image}
          onChange={(event) => setImage(event.target.value)}
        />
      )}
      {source === "template" && (
        <Field label="Template" required value={template} onChange={(event) => setTemplate(event.target.value)} />
      )}
      {source !== "dockerfile" && (
        <Area
          label="Commands"
          mono
          rows={4}
          value={steps}
          onChange={setSteps}
          placeholder="apt-get update && apt-get install -y git"
          hint="One a line, each a step of its own that is kept for the next build."
        />
      )}
      <details>
        <summary>Start and size</summary>
        <div className="stack">
          <div className="columns">
            <Field
              label="Start command"
              value={startCmd}
              onChange={(event) => setStartCmd(event.target.value)}
              hint="Runs when the template is kept, and so in each sandbox."
            />
            <Field
              label="Ready command"
              value={readyCmd}
              onChange={(event) => setReadyCmd(event.target.value)}
              hint="Succeeds once that has started."
            />
          </div>
          <div className="columns">
            <Field
              label="CPUs"
              type="number"
              min={1}
              required
              value={cpuCount}
              onChange={(event) => setCPUCount(event.target.value)}
            />
            <Field
              label="Memory, MiB"
              type="number"
              min={128}
              step={2}
              required
              value={memoryMB}
              onChange={(event) => setMemoryMB(event.target.value)}
            />
          </div>
        </div>
      </details>
    </Dialog>
  );
}
