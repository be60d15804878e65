# AWS Lambda's image of Python with the program and the handler; build it in a folder that has
# the wheel and lambda_function.py. docs/recipes.md says when the zip file is enough.
FROM public.ecr.aws/lambda/python:3.13
COPY flowers_onnx-*.whl /tmp/
RUN pip install --no-cache-dir /tmp/flowers_onnx-*.whl && rm /tmp/flowers_onnx-*.whl
COPY lambda_function.py ${LAMBDA_TASK_ROOT}/
CMD ["lambda_function.handler"]
