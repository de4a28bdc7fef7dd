import type { Router } from 'express';
import type { Catalog } from '../catalog.ts';
import { outputFolderUri } from '../import/job-output.ts';
import { pageOf } from '../paging.ts';
import type { ImportJobRecord } from '../records.ts';
import { notFound } from '../service-error.ts';
import type { StoreService } from '../store-service.ts';
import { jobStatusShape, pageShape, parseId, parseShape, startImportShape } from '../wire.ts';
import { operation } from './respond.ts';

/** DICOM import jobs. */
export function addImportRoutes(router: Router, service: StoreService, catalog: Catalog): void {
  router.post(
    '/startDICOMImportJob/datastore/:datastoreId',
    operation(async (request) => {
      const datastoreId = parseId(request.params.datastoreId, 'datastoreId');
      const job = await service.startImport(datastoreId, parseShape(startImportShape, request.body ?? {}, 'body'));
      return { datastoreId, jobId: job.jobId, jobStatus: 'SUBMITTED', submittedAt: job.submittedAt };
    }),
  );

  router.get(
    '/getDICOMImportJob/datastore/:datastoreId/job/:jobId',
    operation((request) => {
      const datastoreId = parseId(request.params.datastoreId, 'datastoreId');
      const jobId = parseId(request.params.jobId, 'jobId');
      const job = catalog.datastore(datastoreId).jobs.get(jobId);
      if (!job) throw notFound(`Import job ${jobId} does not exist in data store ${datastoreId}.`);
      return {
        jobProperties: {
          ...summaryOf(job),
          inputS3Uri: job.inputS3Uri,
          // As the service: the folder of this job's output, once it is written.
          outputS3Uri: job.jobStatus === 'COMPLETED' ? outputFolderUri(job) : job.outputS3Uri,
        },
      };
    }),
  );

  router.get(
    '/listDICOMImportJobs/datastore/:datastoreId',
    operation((request) => {
      const datastoreId = parseId(request.params.datastoreId, 'datastoreId');
      const status = parseShape(jobStatusShape, request.query.jobStatus, 'jobStatus');
      const { maxResults, nextToken } = parseShape(pageShape, request.query, 'query');
      const jobs = [...catalog.datastore(datastoreId).jobs.values()].filter(
        ({ jobStatus }) => status === undefined || jobStatus === status,
      );
      const page = pageOf(jobs, {
        keyOf: ({ submittedAt, jobId }) => [submittedAt, jobId],
        descending: true,
        maxResults,
        nextToken,
        query: ['jobs', datastoreId, status],
      });
      return { jobSummaries: page.items.map(summaryOf), nextToken: page.nextToken };
    }),
  );
}

function summaryOf(job: ImportJobRecord) {
  const { jobId, jobName, jobStatus, datastoreId, dataAccessRoleArn, submittedAt, endedAt, message } = job;
  return { jobId, jobName, jobStatus, datastoreId, dataAccessRoleArn, submittedAt, endedAt, message };
}
