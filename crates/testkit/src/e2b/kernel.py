"""IPython's kernel with what E2B's template adds to it: the whole of a table and the parts of a chart beside the usual
forms, lists and dictionaries as JSON, and pictures that are shown where they would be opened or saved."""

import sys

# After the machine's own packages, so that programs have those.
sys.path.append(sys.argv.pop(1))

import orjson
from ipykernel.kernelapp import IPKernelApp
from IPython.core.formatters import BaseFormatter, JSONFormatter
from IPython.display import display
from PIL import Image, ImageShow
from traitlets import ObjectName, Unicode
from traitlets.config import Config


class Table(BaseFormatter):
    format_type = Unicode("e2b/data")
    print_method = ObjectName("_repr_e2b_data_")
    _return_type = (dict, str)


def columns_of(table):
    import pandas

    def plain(value):
        return value.isoformat() if isinstance(value, pandas.Timestamp) else value

    columns = table.to_dict(orient="list")
    return {name: [plain(value) for value in values] for name, values in columns.items()}


class Chart(BaseFormatter):
    format_type = Unicode("e2b/chart")
    print_method = ObjectName("_repr_e2b_chart_")
    _return_type = (dict, str)

    def __call__(self, shown):
        # Matplotlib's backend takes its figures out of what a formatter was told of types, time and again.
        figures = sys.modules.get("matplotlib.figure")
        if figures is None or not isinstance(shown, figures.Figure):
            return super().__call__(shown)
        # It brings Matplotlib's pyplot, which takes a second.
        from e2b_charts import chart_figure_to_dict

        try:
            return chart_figure_to_dict(shown)
        except Exception:
            return {}


class Json(JSONFormatter):
    def __call__(self, shown):
        if not isinstance(shown, (dict, list)):
            return super().__call__(shown)
        try:
            text = orjson.dumps(shown, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)
        except TypeError:
            return super().__call__(shown)
        return orjson.loads(text), {"expanded": True}


def show_pictures():
    save = Image.Image.save

    def shows_and_saves(image, place, *rest, **options):
        if isinstance(place, str):
            display(image)
        return save(image, place, *rest, **options)

    def shows(viewer, image, **options):
        display(image)
        return True

    Image.Image.save = shows_and_saves
    ImageShow.UnixViewer.show = shows


app = IPKernelApp.instance()
app.update_config(Config({"InteractiveShell": {"colors": "NoColor"}, "HistoryManager": {"enabled": False}}))
app.initialize()
formatters = app.shell.display_formatter.formatters
for formatter in (Table, Chart, Json):
    formatter = formatter(parent=app.shell.display_formatter)
    formatters[formatter.format_type] = formatter
formatters["e2b/data"].for_type_by_name("pandas.core.frame", "DataFrame", columns_of)
show_pictures()
app.start()
