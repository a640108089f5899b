"""AWS Step Functions and SQS: the machine that drives a payment, how it is deployed, and how we speak with it.

boto3 is the optional extra `aws`, and is imported where it is used only.
"""
