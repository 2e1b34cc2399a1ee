import json, sys, traceback
def preload():
    import numpy, pandas, duckdb, pyarrow.parquet
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot
def run(job, send_reply):
    class Done(Exception): pass
    sent = []
    def reply(value):
        sent.append(1)
        send_reply(json.dumps({"value": value}).encode())
    g = {"__name__": "__main__", "parameters": job["parameters"], "reply": reply}
    try:
        exec(compile(job["code"], "<program>", "exec"), g)
    except SystemExit as e:
        return e.code if isinstance(e.code, int) else 1
    except BaseException as e:
        line = None
        for f, n in traceback.walk_tb(e.__traceback__):
            if f.f_code.co_filename == "<program>": line = n
        send_reply(json.dumps({"error": {"type": type(e).__name__, "message": str(e), "traceback": traceback.format_exc()[-4000:], "line": line}}).encode())
        return 1
    if job["mode"] == "analysis":
        reply(g.get("result"))
    return 0
