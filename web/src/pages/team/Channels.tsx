import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, ok, page, type Schemas } from "../../api/client";
import { Page } from "../../app/Page";
import { useSession } from "../../app/session";
import { Area, Button, Choice, Field } from "../../ui/controls";
import { Confirm, Dialog } from "../../ui/dialog";
import { Ago } from "../../ui/format";
import { Empty, useAct } from "../../ui/notes";
import { List } from "../../ui/table";
import { lines } from "../sandboxes/Create";
import { ShowSecret } from "./Keys";

type Channel = Schemas["Channel"];
type Kind = Schemas["ChannelKind"];
type Config = Schemas["ChannelConfig"];

const kinds: [Kind, string][] = [
  ["webhook", "Webhook"],
  ["slack", "Slack"],
  ["discord", "Discord"],
  ["teams", "Microsoft Teams"],
  ["google_chat", "Google Chat"],
  ["telegram", "Telegram"],
  ["matrix", "Matrix"],
  ["email", "E-mail"],
];

export function ChannelsPage() {
  const { team, may } = useSession();
  const [creating, setCreating] = useState(false);
  const [secret, setSecret] = useState<string | null>(null);
  const [shown, setShown] = useState<Channel | null>(null);
  const [deleting, setDeleting] = useState<Channel | null>(null);
  const queries = useQueryClient();
  const act = useAct();
  const mayWrite = may("channel:write");
  const refresh = () => queries.invalidateQueries({ queryKey: ["channels"] });
  const test = (channel: Channel) =>
    act(async () => {
      await ok(api.POST("/channels/{channelID}/test", { params: { path: { channelID: channel.id } } }));
      await refresh();
      setShown(channel);
    }, `A test is on its way to ${channel.name}.`);
  const enable = (channel: Channel, enabled: boolean) =>
    act(async () => {
      await ok(api.PATCH("/channels/{channelID}", { params: { path: { channelID: channel.id } }, body: { enabled } }));
      await refresh();
    });
  return (
    <Page
      title="Channels"
      actions={
        mayWrite && (
          <Button kind="primary" data-create="" onClick={() => setCreating(true)}>
            Create channel
          </Button>
        )
      }
    >
      <List
        label="Channels"
        queryKey={["channels", team.teamID]}
        load={async () => ({ items: await ok(api.GET("/channels")), next: "" })}
        keyOf={(channel) => channel.id}
        empty={
          <Empty title="No channels">
            <p>A channel tells a program, a chat or a mailbox what happens in the team.</p>
          </Empty>
        }
        columns={[
          { title: "Name", cell: (channel) => channel.name },
          { title: "Kind", wide: true, cell: (channel) => kinds.find(([kind]) => kind === channel.kind)?.[1] },
          { title: "To", cell: (channel) => <div className="mono ellipsis">{channel.target}</div> },
          {
            title: "Events",
            wide: true,
            cell: (channel) => (channel.eventTypes.length === 0 ? "all" : channel.eventTypes.join(", ")),
          },
          {
            title: "State",
            cell: (channel) => (
              <span className={channel.enabled ? "state ok" : "state"}>{channel.enabled ? "On" : "Off"}</span>
            ),
          },
          {
            title: <span className="hidden-text">Actions</span>,
            tight: true,
            cell: (channel) => (
              <span className="row">
                <Button small kind="plain" onClick={() => setShown(channel)}>
                  Deliveries
                </Button>
                {mayWrite && (
                  <>
                    <Button small kind="plain" onClick={() => test(channel)}>
                      Test
                    </Button>
                    <Button small kind="plain" onClick={() => enable(channel, !channel.enabled)}>
                      {channel.enabled ? "Turn off" : "Turn on"}
                    </Button>
                    <Button
                      small
                      kind="plain"
                      aria-label={`Delete ${channel.name}`}
                      onClick={() => setDeleting(channel)}
                    >
                      Delete
                    </Button>
                  </>
                )}
              </span>
            ),
          },
        ]}
      />
      {shown !== null && <Deliveries channel={shown} mayWrite={mayWrite} onClose={() => setShown(null)} />}
      {creating && <CreateChannel onClose={() => setCreating(false)} onSecret={setSecret} />}
      {secret !== null && (
        <ShowSecret title="The secret that signs webhooks" secret={secret} onClose={() => setSecret(null)} />
      )}
      {deleting !== null && (
        <Confirm
          title={`Delete ${deleting.name}?`}
          action="Delete"
          typed={deleting.name}
          onClose={() => setDeleting(null)}
          onConfirm={async () => {
            await ok(api.DELETE("/channels/{channelID}", { params: { path: { channelID: deleting.id } } }));
            setShown(null);
            await refresh();
          }}
        >
          <p>With its deliveries. What has not been delivered yet is not delivered.</p>
        </Confirm>
      )}
    </Page>
  );
}

interface DeliveriesProps {
  channel: Channel;
  mayWrite: boolean;
  onClose: () => void;
}

const outcomes: Record<Schemas["Delivery"]["state"], [className: string, text: string]> = {
  delivered: ["state ok", "Delivered"],
  pending: ["state busy", "Pending"],
  dead: ["state bad", "Given up"],
};

function Deliveries({ channel, mayWrite, onClose }: DeliveriesProps) {
  const queries = useQueryClient();
  const act = useAct();
  return (
    <List
      label={`Deliveries of ${channel.name}`}
      header={
        <header>
          <h2 className="grow">Deliveries of {channel.name}</h2>
          <Button small kind="plain" onClick={onClose}>
            Hide
          </Button>
        </header>
      }
      queryKey={["channels", channel.id, "deliveries"]}
      load={(nextToken) =>
        page(
          api.GET("/channels/{channelID}/deliveries", {
            params: { path: { channelID: channel.id }, query: { nextToken, limit: 20 } },
          }),
        )
      }
      keyOf={(delivery) => delivery.id}
      empty={
        <Empty title="Nothing was delivered yet">
          <p>Test the channel, or wait for an event.</p>
        </Empty>
      }
      columns={[
        { title: "When", cell: (delivery) => <Ago time={delivery.createdAt} /> },
        { title: "Event", cell: (delivery) => <span className="mono">{delivery.event.type}</span> },
        {
          title: "State",
          cell: (delivery) => {
            const [className, text] = outcomes[delivery.state];
            return <span className={className}>{text}</span>;
          },
        },
        {
          title: "Last try",
          wide: true,
          cell: (delivery) => {
            const last = delivery.attempts.at(-1);
            return last === undefined ? "" : last.error || `status ${last.statusCode}, ${last.durationMs} ms`;
          },
        },
        {
          title: <span className="hidden-text">Actions</span>,
          tight: true,
          cell: (delivery) =>
            mayWrite && (
              <Button
                small
                kind="plain"
                onClick={() =>
                  act(async () => {
                    await ok(
                      api.POST("/channels/{channelID}/deliveries/{deliveryID}/redeliver", {
                        params: { path: { channelID: channel.id, deliveryID: delivery.id } },
                      }),
                    );
                    await queries.invalidateQueries({ queryKey: ["channels"] });
                  }, "It is delivered again.")
                }
              >
                Redeliver
              </Button>
            ),
        },
      ]}
    />
  );
}

function CreateChannel({ onClose, onSecret }: { onClose: () => void; onSecret: (secret: string) => void }) {
  const [kind, setKind] = useState<Kind>("webhook");
  const [name, setName] = useState("");
  const [types, setTypes] = useState("");
  const [config, setConfig] = useState<Record<string, string>>({});
  const queries = useQueryClient();
  const input = (key: keyof Config, label: string, hint?: string) => (
    <Field
      label={label}
      required
      hint={hint}
      value={config[key] ?? ""}
      onChange={(event) => setConfig({ ...config, [key]: event.target.value })}
    />
  );
  function wanted(): Config {
    if (kind === "email") return { to: lines(config.to ?? "") };
    if (kind === "telegram") return { token: config.token, chatID: config.chatID };
    if (kind === "matrix") return { url: config.url, token: config.token, roomID: config.roomID };
    return { url: config.url };
  }
  return (
    <Dialog
      title="Create channel"
      submit="Create"
      onClose={onClose}
      onSubmit={async () => {
        const body = { kind, name, eventTypes: lines(types), config: wanted() };
        const made = await ok(api.POST("/channels", { body }));
        await queries.invalidateQueries({ queryKey: ["channels"] });
        if (made.secret !== undefined) onSecret(made.secret);
      }}
    >
      <div className="columns">
        <Field label="Name" required value={name} onChange={(event) => setName(event.target.value)} />
        <Choice label="Kind" value={kind} options={kinds} onChange={(value) => setKind(value as Kind)} />
      </div>
      {kind === "email" && (
        <Area
          label="Recipients"
          rows={2}
          value={config.to ?? ""}
          onChange={(to) => setConfig({ ...config, to })}
          hint="One a line, at most 10."
        />
      )}
      {kind !== "email" && kind !== "telegram" && input("url", kind === "matrix" ? "Server" : "URL")}
      {(kind === "telegram" || kind === "matrix") && input("token", "Token")}
      {kind === "telegram" && input("chatID", "Chat", "A number or @name.")}
      {kind === "matrix" && input("roomID", "Room", "Such as !abc:example.org.")}
      <Area
        label="Events"
        mono
        rows={2}
        value={types}
        onChange={setTypes}
        placeholder="sandbox.*"
        hint="One a line, each whole or such as sandbox.*; left empty, all."
      />
    </Dialog>
  );
}
