// The official client's requests, in the order that tests/common/requests.rs has them.
import { PostgrestClient } from "@supabase/postgrest-js";

const [url, key, token] = process.argv.slice(2);
const headers = { apikey: key, Authorization: `Bearer ${token}` };
const client = new PostgrestClient(url, { headers });
const things = () => client.from("things");

await things()
  .select("id,document")
  .eq("principal", "user/ana")
  .lt("id", "01990000-0000-7000-8000-000000000000")
  .order("id", { ascending: false });
await things().select("name").eq("name", 'say "hi" & ü=+%, (a)').is("note", null);
await things()
  .select("size", { count: "exact" })
  .gte("size", 2)
  .neq("size", 4)
  .order("size", { ascending: true })
  .order("name", { ascending: false });
await things().insert([{ name: "a", size: 1 }]);
await things().upsert([{ name: "a", size: 2 }], { onConflict: "principal,name" });
await things().delete().eq("name", "a").select("name");
await client.rpc("sum_of", { one: 40, two: 2 });
await things().select("name").order("name", { ascending: true }).range(2, 4);
await things().select("name").in("name", ["plain", "b,c", "(d)", "user/ana"]);
await things().upsert([{ name: "a", size: 2 }], { onConflict: "name", ignoreDuplicates: true });
const other = new PostgrestClient(url, { headers, schema: "other" });
await other.from("things").select("name").gt("size", 1).lte("size", 9);
await other.from("things").insert([{ name: "b" }]);
