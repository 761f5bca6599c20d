import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, ok, page, type Schemas } from "../../api/client";
import { Page } from "../../app/Page";
import { useSession } from "../../app/session";
import { Button } from "../../ui/controls";
import { Confirm } from "../../ui/dialog";
import { Ago } from "../../ui/format";
import { Empty, useAct } from "../../ui/notes";
import { List } from "../../ui/table";

type User = Schemas["User"];

export function UsersPage() {
  const { me } = useSession();
  const [disabling, setDisabling] = useState<User | null>(null);
  const queries = useQueryClient();
  const act = useAct();
  const change = async (user: User, body: { disabled?: boolean; platformAdmin?: boolean }) => {
    await ok(api.PATCH("/admin/users/{userID}", { params: { path: { userID: user.id } }, body }));
    await queries.invalidateQueries({ queryKey: ["users"] });
  };
  return (
    <Page title="Users">
      <List
        label="Users"
        queryKey={["users"]}
        load={(nextToken) => page(api.GET("/admin/users", { params: { query: { nextToken, limit: 50 } } }))}
        keyOf={(user) => user.id}
        empty={<Empty title="No users" />}
        columns={[
          { title: "Name", cell: (user) => user.name },
          { title: "E-mail address", cell: (user) => <div className="ellipsis">{user.email}</div> },
          {
            title: "State",
            cell: (user) => (
              <span className={user.disabledAt === null ? "state ok" : "state"}>
                {user.disabledAt === null ? "Active" : "Disabled"}
              </span>
            ),
          },
          { title: "Admin", wide: true, cell: (user) => (user.platformAdmin ? "yes" : "no") },
          { title: "Second factor", wide: true, cell: (user) => (user.secondFactor ? "on" : "off") },
          { title: "Since", wide: true, cell: (user) => <Ago time={user.createdAt} /> },
          {
            title: <span className="hidden-text">Actions</span>,
            tight: true,
            cell: (user) =>
              user.id !== me.id && (
                <span className="row">
                  <Button
                    small
                    kind="plain"
                    onClick={() => act(() => change(user, { platformAdmin: !user.platformAdmin }))}
                  >
                    {user.platformAdmin ? "Make no admin" : "Make admin"}
                  </Button>
                  {user.disabledAt === null ? (
                    <Button small kind="plain" aria-label={`Disable ${user.name}`} onClick={() => setDisabling(user)}>
                      Disable
                    </Button>
                  ) : (
                    <Button small kind="plain" onClick={() => act(() => change(user, { disabled: false }))}>
                      Enable
                    </Button>
                  )}
                </span>
              ),
          },
        ]}
      />
      {disabling !== null && (
        <Confirm
          title={`Disable ${disabling.name}?`}
          action="Disable"
          typed={disabling.email}
          onClose={() => setDisabling(null)}
          onConfirm={() => change(disabling, { disabled: true })}
        >
          <p>Sessions, tokens and keys of this person are revoked. The account can be enabled again.</p>
        </Confirm>
      )}
    </Page>
  );
}
