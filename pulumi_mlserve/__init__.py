"""Declarative deployment of machine-learning models for Pulumi."""
