"""Grafana dashboards, made of the metric families of `mayfly.telemetry.catalog`.

queries     PromQL with the legend and the unit that fit
panels      what a query is drawn as
board       a dashboard: rows of panels, as Grafana's JSON
"""
