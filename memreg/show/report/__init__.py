"""A study on one page that needs no network: report.html."""

from memreg.show.report.page import report, write_report

__all__ = ["report", "write_report"]
