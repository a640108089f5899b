// Reads a state machine from standard input, and says what is wrong with it.
import { readFileSync } from "node:fs";
import validator from "asl-validator";

const { isValid, errors } = validator(JSON.parse(readFileSync(0, "utf8")), { checkPaths: true, checkArn: true });
console.log(JSON.stringify({ isValid, errors: errors.map((error) => error.Message ?? error.message ?? error) }));
