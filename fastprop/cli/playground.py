"""`fastprop playground`: a page in the browser on which a network trains live."""

import webbrowser

from fastprop.cli._common import check_outputs
from fastprop.io import output
from fastprop.tabular.csv import read_csv

__all__ = ["run"]


def run(args):
    """Serve the playground until Ctrl-C, or write it to a file."""
    if args.save:
        _save(args)
        return
    # Imported here, since the HTTP server takes 40 ms that no other command needs.
    from fastprop.playground.server import Server
    from fastprop.playground.session import Session

    if args.port > 65535:
        raise ValueError(f"--port must be at most 65535, got {args.port}")
    session = Session(read_csv(args.file) if args.file else None)
    with Server(session, args.port) as server:
        print(f"playground: {server.address}")
        print("only this machine can open it, and only with this address; Ctrl-C ends it", flush=True)
        if not args.no_browser:
            webbrowser.open(server.address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("playground: ended")


def _save(args):
    from fastprop.playground import static  # with the session, as above

    check_outputs([("--save", args.save, True)], *([args.file] if args.file else []))
    page = static.page(read_csv(args.file) if args.file else None)
    output.write(args.save, page, streams=True)
    if args.save != output.STDOUT:
        print(f"wrote {args.save} ({len(page.encode()) / 1000:.0f} kB); it needs no server, network or Python")
