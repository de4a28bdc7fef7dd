/**
 * The errors of the HealthImaging service model: name, HTTP status. The name travels in `x-amzn-errortype`, the
 * message in the JSON body. `UnknownOperationException` stands for a path that is no operation.
 */
const statuses = {
  AccessDeniedException: 403,
  BadRequestException: 400,
  ConflictException: 409,
  InternalServerException: 500,
  NotAcceptableException: 406,
  ResourceNotFoundException: 404,
  ServiceQuotaExceededException: 402,
  ThrottlingException: 429,
  UnknownOperationException: 404,
  ValidationException: 400,
} as const satisfies Record<string, number>;

export type ServiceErrorName = keyof typeof statuses;

/** A failure as the service words it. The message never holds patient data, credentials or paths of the machine. */
export class ServiceError extends Error {
  override readonly name: ServiceErrorName;

  constructor(name: ServiceErrorName, message: string) {
    super(message);
    this.name = name;
  }

  get status(): number {
    return statuses[this.name];
  }
}

export const validation = (message: string): ServiceError => new ServiceError('ValidationException', message);
export const notFound = (message: string): ServiceError => new ServiceError('ResourceNotFoundException', message);
export const conflict = (message: string): ServiceError => new ServiceError('ConflictException', message);
