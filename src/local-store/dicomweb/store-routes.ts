import type { Request, Response, Router } from 'express';
import { operation } from '../http/respond.ts';
import { validation } from '../service-error.ts';
import { type DicomJson, element } from './dicom-json.ts';
import { parseMediaTypes } from './media-types.ts';
import { pathOf, serviceUrl } from './path.ts';
import { type StoreContext, type StoreResult, storeInstances } from './store-instances.ts';

/** STOW-RS (PS3.18 §10.5). */
export function addStoreRoutes(router: Router, context: StoreContext): void {
  for (const path of ['/datastore/:datastoreId/studies', '/datastore/:datastoreId/studies/:study']) {
    router.post(
      path,
      operation(async (request: Request, response: Response) => {
        const { datastoreId, study } = pathOf(request);
        const [type] = parseMediaTypes(request.get('content-type') ?? '');
        const boundary = type?.parameters.get('boundary');
        const isDicom = type?.name === 'multipart/related' && type.parameters.get('type') === 'application/dicom';
        if (!isDicom || boundary === undefined || boundary === '' || boundary.length > 70) {
          throw validation('The body must be multipart/related; type="application/dicom" with a boundary.');
        }
        const results = await storeInstances(datastoreId, study, request, boundary, context);
        if (results.length === 0) throw validation('The body holds no instances.');
        const stored = results.filter((result) => result.kind === 'stored');
        const status = stored.length === results.length ? 200 : stored.length > 0 ? 202 : 409;
        const answer = answerOf(results, study, serviceUrl(request));
        response
          .status(status)
          .type('application/dicom+json')
          .send(Buffer.from(JSON.stringify(answer)));
      }),
    );
  }
}

function answerOf(results: readonly StoreResult[], study: string | undefined, url: string): DicomJson {
  const stored = results.filter((result) => result.kind === 'stored');
  const failed = results.filter((result) => result.kind === 'failed');
  const studyUid = study ?? stored[0]?.studyUid;
  return {
    ...(studyUid === undefined ? {} : { '00081190': element('UR', `${url}/studies/${studyUid}`) }),
    ...(failed.length === 0
      ? {}
      : {
          '00081198': {
            vr: 'SQ',
            Value: failed.map(({ reason, sopClassUid, sopInstanceUid }) => ({
              '00081150': element('UI', sopClassUid),
              '00081155': element('UI', sopInstanceUid),
              '00081197': element('US', reason),
            })),
          },
        }),
    ...(stored.length === 0
      ? {}
      : {
          '00081199': {
            vr: 'SQ',
            Value: stored.map(({ studyUid: of, seriesUid, sopClassUid, sopInstanceUid, warningCode }) => ({
              '00081150': element('UI', sopClassUid),
              '00081155': element('UI', sopInstanceUid),
              '00081190': element('UR', `${url}/studies/${of}/series/${seriesUid}/instances/${sopInstanceUid}`),
              ...(warningCode === undefined ? {} : { '00081196': element('US', warningCode) }),
            })),
          },
        }),
  };
}
